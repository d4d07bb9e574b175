import type { DamagedRow } from '../../shared/damaged-row.ts';
import { errorReportSchema } from '../../shared/error-report.ts';
import { AppError } from '../../shared/errors.ts';
import type { FineTune } from '../../shared/finetune.ts';
import { type Run, type RunStatus, runtimeSchema, tagsSchema } from '../../shared/run.ts';
import type { FileLock } from './file-lock.ts';
import { Holds } from './holds.ts';
import { errorsOf, fromJson, fromNullable, type RowError, readEach } from './json.ts';
import { changedElsewhere, freeName, requireFreeName, resolveId } from './names.ts';
import { type Db, write } from './open.ts';
import { Queue } from './queue.ts';
import { giveBack } from './space.ts';
import { storedConfig, storedTuneSchema } from './stored-config.ts';

const JSON_COLUMNS = ['config', 'error', 'runtime', 'tags', 'finetune'] as const;
/** What of a run is no JSON: it is there though the rest of its row is damaged. */
export type RunHead = Omit<Run, (typeof JSON_COLUMNS)[number]>;
type Row = Omit<RunHead, 'kind'> & {
  /** Exact; null for a run of an older program, which took whole numbers. */
  epoch_steps: number | null;
  config: string;
  tags: string;
  error: string | null;
  runtime: string | null;
  finetune: string | null;
};

export type NewRun = Pick<Run, 'dataset_id' | 'preset' | 'config' | 'total_steps' | 'steps_per_epoch'> & {
  name?: string;
  finetune?: FineTune;
};

const UPDATABLE = [
  'name',
  'status',
  'step',
  'started_at',
  'ended_at',
  'pid',
  'heartbeat',
  'request',
  'error',
  'runtime',
  'notes',
  'tags',
  'queue_position',
] as const;
export type RunUpdate = Partial<Pick<Run, (typeof UPDATABLE)[number]>>;

/** Statuses from which a run may be started or resumed. */
const RESUMABLE: readonly RunStatus[] = ['queued', 'paused', 'interrupted', 'stopped', 'failed'];

/** Texts, or lists of them. */
const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

function toHead({ epoch_steps, config, tags, error, runtime, finetune, ...kept }: Row): RunHead {
  return {
    ...kept,
    kind: finetune !== null ? 'finetune' : kept.dataset_id === null ? 'imported' : 'pretrain',
    steps_per_epoch: epoch_steps ?? kept.steps_per_epoch,
  };
}

function toRun(row: Row): Run {
  const { id, name } = row;
  const at = (column: (typeof JSON_COLUMNS)[number]) => ({
    row: `run ${id} "${name}"`,
    column: `runs.${column}`,
    last: `If neither can be done, delete it: \`conmim delete ${id}\`.`,
  });
  return {
    ...toHead(row),
    config: storedConfig(row.config, at('config')),
    tags: fromJson(tagsSchema, row.tags, at('tags')),
    error: fromNullable(errorReportSchema, row.error, at('error')),
    runtime: fromNullable(runtimeSchema, row.runtime, at('runtime')),
    finetune: fromNullable(storedTuneSchema, row.finetune, at('finetune')),
  };
}

export class Runs {
  readonly #db: Db;
  readonly #holds: Holds;

  constructor(db: Db) {
    this.#db = db;
    this.#holds = new Holds(db);
  }

  /**
   * A queued run. Without a name it gets one after its dataset. `dataset_id` is null for imported weights.
   * @throws AppError conflict where the name is taken, bad-input where it is a number or empty
   */
  create({ name: given, finetune, ...run }: NewRun): Run {
    return write(this.#db, () => {
      const name = given === undefined ? undefined : requireFreeName(this.#db, 'run', given);
      const dataset = this.#db.prepare('SELECT name FROM datasets WHERE id = ?').pluck().get(run.dataset_id);
      const { lastInsertRowid } = this.#db
        .prepare(`
          INSERT INTO runs (name, dataset_id, preset, config, status, step, total_steps, steps_per_epoch, epoch_steps,
            created_at, finetune)
          VALUES (@name, @dataset_id, @preset, @config, 'queued', 0, @total_steps, @whole_steps, @steps_per_epoch,
            @created_at, @finetune)`)
        .run({
          ...run,
          whole_steps: Math.max(1, Math.round(run.steps_per_epoch)),
          name: name ?? this.freeName(`${dataset ?? 'imported'} run`),
          config: JSON.stringify(run.config),
          finetune: finetune ? JSON.stringify(finetune) : null,
          created_at: Date.now(),
        });
      return this.get(Number(lastInsertRowid));
    });
  }

  /** `base`, or `base 2`, `base 3`, …: the first that no run has. */
  freeName(base: string): string {
    return freeName(this.#db, 'run', base);
  }

  /** By id, digits of an id, or name. @throws AppError not-found, with near names; bad-file where it is damaged */
  get(idOrName: number | string): Run {
    return toRun(this.#row(idOrName));
  }

  /** The same of one that may be damaged. @throws AppError not-found, with near names */
  head(idOrName: number | string): RunHead {
    return toHead(this.#row(idOrName));
  }

  #row(idOrName: number | string): Row {
    const id = resolveId(this.#db, 'run', idOrName);
    return this.#db.prepare('SELECT * FROM runs WHERE id = ?').get(id) as Row;
  }

  has(id: number): boolean {
    return this.#db.prepare('SELECT 1 FROM runs WHERE id = ?').get(id) !== undefined;
  }

  /** Those that can be read. */
  list({ status }: { status?: RunStatus } = {}): Run[] {
    return readEach(this.#rows(status), toRun).sound;
  }

  /** Those that cannot be read. */
  damaged(): DamagedRow[] {
    return readEach(this.#rows(), toRun).damaged;
  }

  /** All, those that are damaged too. */
  heads({ status }: { status?: RunStatus } = {}): RunHead[] {
    return this.#rows(status).map(toHead);
  }

  /** What is wrong with those that cannot be read. */
  unreadable(): Generator<RowError> {
    return errorsOf(this.#rows(), toRun);
  }

  #rows(status?: RunStatus): Row[] {
    return this.#db
      .prepare('SELECT * FROM runs WHERE @status IS NULL OR status = @status ORDER BY id')
      .all({ status: status ?? null }) as Row[];
  }

  /** What tells whether a run has changed, and its newest checkpoint, by id; cheap enough to be asked often. */
  signatures(): Map<number, { signature: string; checkpoint: number | null }> {
    const rows = this.#db
      .prepare(
        `SELECT id, json_array(name, status, step, total_steps, request, error, notes, tags, queue_position, ended_at,
             (SELECT count(*) FROM notices n WHERE n.run_id = runs.id)),
           (SELECT max(c.id) FROM checkpoints c WHERE c.run_id = runs.id)
         FROM runs`,
      )
      .raw()
      .all() as [number, string, number | null][];
    return new Map(rows.map(([id, signature, checkpoint]) => [id, { signature, checkpoint }]));
  }

  /**
   * Changes what is given, where it is still as it was `before`. Whatever is not queued any more leaves the queue.
   * @throws AppError not-found; conflict for a name that is taken; changed
   */
  update(id: number, given: RunUpdate, before: { [K in 'name' | 'notes' | 'tags']?: Run[K] | undefined } = {}): void {
    const leaves = given.status !== undefined && given.status !== 'queued';
    const change: RunUpdate = { ...given, ...(leaves && { queue_position: null }) };
    const columns = UPDATABLE.filter((column) => change[column] !== undefined);
    if (columns.length === 0) return;
    write(this.#db, () => {
      const now: Partial<Run> & RunHead = before.tags === undefined ? this.head(id) : this.get(id);
      const { name } = now;
      const other = (['name', 'notes', 'tags'] as const).find(
        (key) => before[key] !== undefined && !isSame(before[key], now[key]) && !isSame(change[key], now[key]),
      );
      if (other) throw changedElsewhere(`The ${other} of run "${name}"`);
      const isNew = change.name !== undefined && change.name !== name;
      const changed = isNew ? { ...change, name: requireFreeName(this.#db, 'run', change.name!) } : change;
      const values = columns.map((column) => {
        const value = changed[column];
        return value !== null && typeof value === 'object' ? JSON.stringify(value) : value;
      });
      const set = columns.map((column) => `${column} = ?`).join(', ');
      this.#db.prepare(`UPDATE runs SET ${set} WHERE id = ?`).run(...values, id);
    });
  }

  /** Whether a living process trains it, or is about to. */
  isHeld(id: number): boolean {
    return this.#holds.isHeld('run', id) || this.#holds.isHeld('start', id);
  }

  /** Runs that living processes train or are about to. */
  held(): RunHead[] {
    return this.#unplaced().filter(({ id }) => this.isHeld(id));
  }

  /**
   * Takes a run out of the queue for a trainer that the caller is about to start: nobody else starts it, or anything of
   * the queue, until the trainer has claimed it and the lock is let go of. Where the caller dies before, `recoverLost`
   * puts the run back.
   * @throws AppError not-found; conflict where it is trained, about to be, or finished
   */
  reserve(id: number): FileLock {
    return write(this.#db, () => {
      const { status } = this.head(id);
      if (RESUMABLE.includes(status)) {
        const lock = this.#holds.isHeld('run', id) ? null : this.#holds.take('start', id);
        if (lock) {
          this.update(id, { status: 'queued', queue_position: null, request: null });
          return lock;
        }
      }
      if (status !== 'running' && status !== 'finished')
        throw new AppError('conflict', `Run ${id} is being started by another process.`, '', 'Wait a moment.');
      const next =
        status === 'running' ? `Pause it first: \`conmim pause ${id}\`.` : 'Start a new run to train longer.';
      throw new AppError('conflict', `Run ${id} is ${status}.`, '', next);
    });
  }

  /**
   * Takes a run for the process `pid`, which trains it, and marks it running; the lock is held until the process has
   * said how it ended. Of several processes that try at once one gets it.
   * @returns why not: another has it; it was paused or stopped before it began
   * @throws AppError not-found
   */
  claim(id: number, pid: number): FileLock | 'held' | 'withdrawn' {
    return write(this.#db, () => {
      const run = this.head(id);
      if (run.status !== 'queued' && run.status !== 'running') return this.isTrained(id) ? 'held' : 'withdrawn';
      const lock = this.#holds.take('run', id);
      if (lock === null) return 'held';
      const now = Date.now();
      this.update(id, { status: 'running', pid, heartbeat: now, request: null, error: null, ended_at: null });
      if (run.started_at === null) this.update(id, { started_at: now });
      return lock;
    });
  }

  /** Whether a living process trains it. */
  isTrained(id: number): boolean {
    return this.#holds.isHeld('run', id);
  }

  /**
   * Makes the rows agree with what is really running. A run whose process is gone becomes interrupted and can be resumed.
   * A run whose starter died before the trainer claimed it goes back into the queue.
   * @param first also queues runs of which no trace of a starter is left; a program sets it when it starts
   */
  recoverLost({ first = false } = {}): void {
    const isGone = ({ id, kind, status, queue_position }: RunHead) =>
      status === 'running'
        ? !this.isTrained(id)
        : status === 'queued' &&
          queue_position === null &&
          kind !== 'imported' &&
          (first ? !this.isHeld(id) : this.#holds.wasLeft('start', id) && !this.isTrained(id));
    const looked = this.#unplaced();
    if (!looked.some(isGone)) return;
    // Looked up again inside the transaction, in which nobody can claim or end a run.
    write(this.#db, () => {
      for (const run of this.#unplaced().filter(isGone)) {
        if (run.status === 'running')
          this.update(run.id, { status: 'interrupted', pid: null, request: null, ended_at: run.heartbeat });
        else new Queue(this.#db).put({ kind: 'run', id: run.id });
        this.#holds.forget('start', run.id);
      }
    });
  }

  /** Runs that a process should be training or starting. */
  #unplaced(): RunHead[] {
    const rows = this.#db
      .prepare(`SELECT * FROM runs WHERE status = 'running' OR (status = 'queued' AND queue_position IS NULL)`)
      .all() as Row[];
    return rows.map(toHead);
  }

  /**
   * Deletes a run with its metrics, checkpoints and evaluations.
   * @returns bytes given back to the disk
   * @throws AppError not-found
   */
  delete(id: number): number {
    write(this.#db, () => {
      resolveId(this.#db, 'run', id);
      this.#db.prepare('DELETE FROM runs WHERE id = ?').run(id);
    });
    for (const kind of ['run', 'start'] as const) this.#holds.forget(kind, id);
    return giveBack(this.#db);
  }
}
