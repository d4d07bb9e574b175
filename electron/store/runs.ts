import { uptime } from 'node:os';
import type { Run, RunStatus } from '../../shared/domain.ts';
import type { FineTune } from '../../shared/finetune.ts';
import { fromJson } from './json.ts';
import { changedElsewhere, freeName, requireFreeName, resolveId } from './names.ts';
import { type Db, write } from './open.ts';
import { giveBack } from './space.ts';

const JSON_COLUMNS = ['config', 'error', 'runtime', 'tags', 'finetune'] as const;
type Row = Omit<Run, (typeof JSON_COLUMNS)[number]> & {
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

/** A heartbeat older than this is of a process that hangs, or whose number another process has now; ms. */
const STALE = 60 * 60 * 1000;

/** Texts, or lists of them. */
const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

const toRun = ({ epoch_steps, ...row }: Row): Run => ({
  ...row,
  steps_per_epoch: epoch_steps ?? row.steps_per_epoch,
  config: fromJson(row.config),
  tags: fromJson(row.tags),
  error: row.error === null ? null : fromJson(row.error),
  runtime: row.runtime === null ? null : fromJson(row.runtime),
  finetune: row.finetune === null ? null : fromJson(row.finetune),
});

export class Runs {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /**
   * A queued run. Without a name it gets one after its dataset. `dataset_id` is null for imported weights.
   * @throws AppError conflict where the name is taken, bad-input where it is a number or empty
   */
  create({ name, finetune, ...run }: NewRun): Run {
    return write(this.#db, () => {
      if (name !== undefined) requireFreeName(this.#db, 'run', name);
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

  /** By id, digits of an id, or name. @throws AppError not-found, with near names */
  get(idOrName: number | string): Run {
    const id = resolveId(this.#db, 'run', idOrName);
    return toRun(this.#db.prepare('SELECT * FROM runs WHERE id = ?').get(id) as Row);
  }

  list({ status }: { status?: RunStatus } = {}): Run[] {
    const rows = this.#db
      .prepare('SELECT * FROM runs WHERE @status IS NULL OR status = @status ORDER BY id')
      .all({ status: status ?? null }) as Row[];
    return rows.map(toRun);
  }

  /** What tells whether a run has changed, and its newest checkpoint, by id; cheap enough to be asked often. */
  signatures(): Map<number, { signature: string; checkpoint: number | null }> {
    const rows = this.#db
      .prepare(
        `SELECT id, json_array(name, status, step, total_steps, request, error, notes, tags, queue_position, ended_at),
           (SELECT max(c.id) FROM checkpoints c WHERE c.run_id = runs.id)
         FROM runs`,
      )
      .raw()
      .all() as [number, string, number | null][];
    return new Map(rows.map(([id, signature, checkpoint]) => [id, { signature, checkpoint }]));
  }

  /**
   * Changes what is given, where it is still as it was `before`.
   * @throws AppError not-found; conflict for a name that is taken; changed
   */
  update(id: number, change: RunUpdate, before: { [K in 'name' | 'notes' | 'tags']?: Run[K] | undefined } = {}): void {
    const columns = UPDATABLE.filter((column) => change[column] !== undefined);
    if (columns.length === 0) return;
    const values = columns.map((column) => {
      const value = change[column];
      return value !== null && typeof value === 'object' ? JSON.stringify(value) : value;
    });
    write(this.#db, () => {
      const now = this.get(id);
      const { name } = now;
      const other = (['name', 'notes', 'tags'] as const).find(
        (key) => before[key] !== undefined && !isSame(before[key], now[key]) && !isSame(change[key], now[key]),
      );
      if (other) throw changedElsewhere(`The ${other} of run "${name}"`);
      if (change.name !== undefined && change.name !== name) requireFreeName(this.#db, 'run', change.name);
      const set = columns.map((column) => `${column} = ?`).join(', ');
      this.#db.prepare(`UPDATE runs SET ${set} WHERE id = ?`).run(...values, id);
    });
  }

  /**
   * Takes a run for the process `pid`, unless a living one has it; marks it running. Of several processes that try at
   * once one gets it.
   * @throws AppError not-found
   */
  claim(id: number, pid: number): boolean {
    return write(this.#db, () => {
      const run = this.get(id);
      if (run.status === 'running' && run.pid !== pid && isHeld(run)) return false;
      const now = Date.now();
      this.update(id, { status: 'running', pid, heartbeat: now, request: null, error: null, ended_at: null });
      if (run.started_at === null) this.update(id, { started_at: now });
      return true;
    });
  }

  /**
   * Deletes a run with its metrics, checkpoints and evaluations.
   * @returns bytes given back to the disk
   * @throws AppError not-found
   */
  delete(id: number): number {
    write(this.#db, () => {
      this.get(id);
      this.#db.prepare('DELETE FROM runs WHERE id = ?').run(id);
    });
    return giveBack(this.#db);
  }
}

/** Whether the process that a row names lives. A heartbeat from before the machine started cannot be of it. */
export function isHeld({ pid, heartbeat }: Pick<Run, 'pid' | 'heartbeat'>): boolean {
  if (pid === null || heartbeat === null) return false;
  const now = Date.now();
  if (heartbeat < now - uptime() * 1000 || heartbeat < now - STALE) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
