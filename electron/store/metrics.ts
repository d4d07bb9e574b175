import { z } from 'zod';
import { figuresSchema, type Metric } from '../../shared/run.ts';
import { errorsOf, fromJson, type Place, type RowError } from './json.ts';
import { type Db, write } from './open.ts';

/** Columns whose mean stands for many steps. */
const AVERAGED = [...['loss', 'grad_norm', 'lr', 'weight_decay', 'momentum', 'images_per_s', 'data_wait']] as const;
const COLUMNS = ['step', 'epoch', 'time', 'replaced', ...AVERAGED, 'figures'] as const;

/** Steps of a block: the first holds steps 1 to 20. */
const BLOCK = 20;
/** Columns of one row made of several. */
const meansOf = (
  table: 'metrics' | 'metric_blocks',
) => `max(step) AS step, max(epoch) AS epoch, max(time) AS time, sum(replaced) AS replaced,
  ${AVERAGED.map((c) => `avg(${c}) AS ${c}`).join(', ')}, mean_figures(group_concat(figures), '${table}.figures', run_id, min(step), max(step)) AS figures`;

const INSERT = `INSERT OR REPLACE INTO metrics (run_id, ${COLUMNS.join(', ')})
  VALUES (@run_id, ${COLUMNS.map((c) => `@${c}`).join(', ')})`;
const SELECT = `SELECT ${COLUMNS.join(', ')} FROM metrics WHERE run_id = @runId`;

type Row = Omit<Metric, 'figures'> & { figures: string };

const recordsSchema = z.custom<Metric['figures'][]>(
  (value) => (value as unknown[]).every((one) => figuresSchema.safeParse(one).success),
  { error: 'expected a number or null by each name' },
);

/** Where the figures of these steps stand. */
const placeOf = (steps: string, runId: unknown, column: string): Place => ({
  row: `${steps} of run ${runId}`,
  column,
  last: `If neither can be done, delete the run: \`conmim delete ${runId}\`.`,
});

const figuresIn = (
  table: 'metrics' | 'metric_blocks',
  { step, figures }: Pick<Row, 'step' | 'figures'>,
  runId: number,
) => fromJson(figuresSchema, figures, placeOf(`step ${step}`, runId, `${table}.figures`));

/** SQLite has no NaN: it is stored as null. */
function toMetric({ figures, ...row }: Row, runId: number): Metric {
  for (const column of AVERAGED) row[column] ??= Number.NaN;
  return { ...row, figures: figuresIn('metrics', { step: row.step, figures }, runId) };
}

/** The mean of each figure where it was measured, as JSON. @param records JSON of several, with commas between */
function meanFigures(records: unknown, column: unknown, runId: unknown, first: unknown, last: unknown): string {
  const sums = new Map<string, { sum: number; n: number }>();
  const place = placeOf(`steps ${first} to ${last}`, runId, String(column));
  for (const record of fromJson(recordsSchema, `[${records}]`, place)) {
    for (const key in record) {
      const mean = sums.get(key) ?? { sum: 0, n: 0 };
      if (mean.n === 0) sums.set(key, mean);
      const value = record[key]!;
      if (value === null) continue;
      mean.sum += value;
      mean.n++;
    }
  }
  const means: Metric['figures'] = {};
  for (const [key, { sum, n }] of sums) means[key] = n === 0 ? null : sum / n;
  return JSON.stringify(means);
}

/** Rows that have one of these figures, as a condition of SQL. */
function havingAny(keys: readonly string[]) {
  // Few rows have what is measured seldom: looking for its name is much faster than reading the record.
  // One that is no JSON is taken too, so that what reads it says so.
  const has = keys.map(
    (_, i) =>
      `(instr(figures, @name${i}) > 0 AND CASE WHEN json_valid(figures) THEN figures ->> @path${i} IS NOT NULL ELSE 1 END)`,
  );
  const named = keys.flatMap((key, i) => [
    [`name${i}`, JSON.stringify(key)],
    [`path${i}`, `$.${JSON.stringify(key)}`],
  ]);
  return { has: `(${has.join(' OR ') || '0'})`, named: Object.fromEntries(named) as Record<string, string> };
}

export class Metrics {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
    db.function('mean_figures', { deterministic: true }, meanFigures);
  }

  /** Adds rows in one transaction; a row of a step that is there replaces it. */
  add(runId: number, metrics: Metric | Metric[]): void {
    const rows = [metrics].flat();
    const insert = this.#db.prepare(INSERT);
    write(this.#db, () => {
      for (const metric of rows) insert.run({ ...metric, figures: JSON.stringify(metric.figures), run_id: runId });
      this.#forgetBlocks(
        runId,
        rows.reduce((least, { step }) => Math.min(least, step - 1), Number.MAX_SAFE_INTEGER),
      );
      this.#makeBlocks(runId);
    });
  }

  /** Rows by step, of steps `from` to `to`, both included. */
  list(runId: number, { from = 0, to = Number.MAX_SAFE_INTEGER }: { from?: number; to?: number } = {}): Metric[] {
    return this.#db
      .prepare(`${SELECT} AND step BETWEEN @from AND @to ORDER BY step`)
      .all({ runId, from, to })
      .map((row) => toMetric(row as Row, runId));
  }

  last(runId: number): Metric | null {
    const row = this.#db.prepare(`${SELECT} ORDER BY step DESC LIMIT 1`).get({ runId });
    return row ? toMetric(row as Row, runId) : null;
  }

  /** The last `n` rows, by step. */
  tail(runId: number, n: number): Metric[] {
    return this.#db
      .prepare(`SELECT * FROM (${SELECT} ORDER BY step DESC LIMIT @n) ORDER BY step`)
      .all({ runId, n })
      .map((row) => toMetric(row as Row, runId));
  }

  /** The last row that has one of these figures. */
  lastWith(runId: number, keys: readonly string[]): Metric | null {
    const { has, named } = havingAny(keys);
    const row = this.#db.prepare(`${SELECT} AND ${has} ORDER BY step DESC LIMIT 1`).get({ runId, ...named });
    return row ? toMetric(row as Row, runId) : null;
  }

  /** All of them from a step on, by step. */
  listWith(runId: number, keys: readonly string[], from = 0): Metric[] {
    const { has, named } = havingAny(keys);
    return this.#db
      .prepare(`${SELECT} AND step >= @from AND ${has} ORDER BY step`)
      .all({ runId, from, ...named })
      .map((row) => toMetric(row as Row, runId));
  }

  /** What is wrong with rows, of whichever run, that cannot be read. */
  *unreadable(): Generator<RowError> {
    for (const table of ['metrics', 'metric_blocks'] as const) {
      const rows = this.#db.prepare(`SELECT run_id, step, figures FROM ${table}`).iterate();
      yield* errorsOf(rows as Iterable<Row & { run_id: number }>, (row) => figuresIn(table, row, row.run_id));
    }
  }

  count(runId: number): number {
    return this.#db.prepare('SELECT count(*) FROM metrics WHERE run_id = ?').pluck().get(runId) as number;
  }

  /** Forgets the steps after `step`: a run that resumes from there makes them again. @returns rows deleted */
  deleteAfter(runId: number, step: number): number {
    return write(this.#db, () => {
      this.#forgetBlocks(runId, step);
      return this.#db.prepare('DELETE FROM metrics WHERE run_id = ? AND step > ?').run(runId, step).changes;
    });
  }

  /**
   * At most `points` rows for a curve: each the mean of as many neighbouring steps, under the step of the last of them;
   * `replaced` is their sum. What is measured at few steps is the mean of those, and null where there is none. Where
   * there are very many steps, they are taken in blocks of twenty, so that an end may hold some steps more or fewer.
   */
  sampled(runId: number, points: number, { from = 0, to = Number.MAX_SAFE_INTEGER } = {}): Metric[] {
    const { first, last } = this.#db
      .prepare(
        `SELECT (SELECT min(step) FROM metrics WHERE run_id = @runId AND step >= @from) AS first,
                (SELECT max(step) FROM metrics WHERE run_id = @runId AND step <= @to) AS last`,
      )
      .get({ runId, from, to }) as { first: number | null; last: number | null };
    if (first === null || last === null || last < first) return [];
    const steps = last - first + 1;
    if (steps <= points) return this.list(runId, { from, to });
    const isLong = steps > points * BLOCK;
    if (isLong) this.#makeBlocks(runId);
    const [table, column, low, high] = isLong
      ? (['metric_blocks', 'block', Math.floor((first - 1) / BLOCK), Math.floor((last - 1) / BLOCK)] as const)
      : (['metrics', 'step', first, last] as const);
    return this.#db
      .prepare(`
        SELECT ${meansOf(table)}
        FROM (SELECT *, ntile(@points) OVER (ORDER BY step) AS bucket FROM ${table}
              WHERE run_id = @runId AND ${column} BETWEEN @low AND @high)
        GROUP BY bucket ORDER BY bucket`)
      .all({ runId, points, low, high })
      .map((row) => toMetric(row as Row, runId));
  }

  /** Blocks that hold steps after `step`. */
  #forgetBlocks(runId: number, step: number) {
    this.#db.prepare('DELETE FROM metric_blocks WHERE run_id = ? AND block >= ?').run(runId, Math.floor(step / BLOCK));
  }

  /** Blocks of steps that are complete and have none yet: as steps are added, and for those that an older program added. */
  #makeBlocks(runId: number) {
    write(this.#db, () => {
      const next = this.#db
        .prepare('SELECT coalesce(max(block) + 1, 0) FROM metric_blocks WHERE run_id = ?')
        .pluck()
        .get(runId) as number;
      const end = Math.floor((this.last(runId)?.step ?? 0) / BLOCK);
      if (end <= next) return;
      this.#db
        .prepare(`
          INSERT INTO metric_blocks (run_id, block, ${COLUMNS.join(', ')})
          SELECT @runId, (step - 1) / ${BLOCK}, ${meansOf('metrics')} FROM metrics
          WHERE run_id = @runId AND step > @from AND step <= @to GROUP BY (step - 1) / ${BLOCK}`)
        .run({ runId, from: next * BLOCK, to: end * BLOCK });
    });
  }
}
