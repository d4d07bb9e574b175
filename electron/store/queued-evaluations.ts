import type { z } from 'zod';
import { errorReportSchema } from '../../shared/error-report.ts';
import { AppError, type ErrorReport } from '../../shared/errors.ts';
import {
  CLASS_TASKS,
  type Evaluation,
  evaluationOptionsSchema,
  type QueuedEvaluation,
} from '../../shared/evaluation.ts';
import { Evaluations } from './evaluations.ts';
import { type FeaturePart, FeatureParts } from './feature-parts.ts';
import type { FileLock } from './file-lock.ts';
import { Holds } from './holds.ts';
import { errorsOf, fromJson, fromNullable, orElse, type RowError } from './json.ts';
import { type Db, write } from './open.ts';
import { Queue } from './queue.ts';
import { Runs } from './runs.ts';

type Row = Omit<QueuedEvaluation, 'options' | 'error' | 'is_canceled'> & {
  options: string;
  error: string | null;
  is_canceled: number;
};
export type NewEvaluation = Pick<QueuedEvaluation, 'checkpoint_id' | 'dataset_id' | 'test_dataset_id' | 'task'> & {
  options: z.input<typeof evaluationOptionsSchema>;
};

const NO_OPTIONS = evaluationOptionsSchema.parse({ k: 0 });

function read(kept: Row): QueuedEvaluation {
  const row = `evaluation ${kept.id} of the queue`;
  return {
    ...kept,
    options: fromJson(evaluationOptionsSchema, kept.options, { row, column: 'queued_evaluations.options' }),
    error: fromNullable(errorReportSchema, kept.error, { row, column: 'queued_evaluations.error' }),
    is_canceled: kept.is_canceled === 1,
  };
}

/** One that cannot be read is one that failed, so that the queue goes on, and a person sees it and can dismiss it. */
const toQueued = (kept: Row): QueuedEvaluation =>
  orElse(
    () => read(kept),
    (error) => ({ ...kept, options: NO_OPTIONS, error: error.toJSON(), is_canceled: kept.is_canceled === 1 }),
  );

/** Evaluations that wait their turn, are worked at, or failed. */
export class QueuedEvaluations {
  readonly #db: Db;
  readonly #queue: Queue;
  readonly #parts: FeatureParts;
  readonly #holds: Holds;

  constructor(db: Db) {
    this.#db = db;
    this.#holds = new Holds(db);
    this.#queue = new Queue(db);
    this.#parts = new FeatureParts(db, 'evaluation_features');
  }

  /** Puts one at the end of the queue. @throws AppError not-found */
  add(asked: NewEvaluation): QueuedEvaluation {
    return write(this.#db, () => {
      const { lastInsertRowid } = this.#db
        .prepare(`
          INSERT INTO queued_evaluations
            (run_id, checkpoint_id, step, dataset_id, test_dataset_id, task, options, created_at)
          SELECT run_id, id, step, @dataset_id, @test_dataset_id, @task, @options, @now
          FROM checkpoints WHERE id = @checkpoint_id`)
        .run({ ...asked, options: JSON.stringify(asked.options), now: Date.now() });
      const id = Number(lastInsertRowid);
      this.#queue.put({ kind: 'evaluation', id });
      return this.get(id);
    });
  }

  /** @throws AppError not-found */
  get(id: number): QueuedEvaluation {
    const row = this.#db.prepare('SELECT * FROM queued_evaluations WHERE id = ?').get(id) as Row | undefined;
    if (!row) throw new AppError('not-found', `Evaluation ${id} is not in the queue any more.`);
    return toQueued(row);
  }

  /** By age. */
  list(): QueuedEvaluation[] {
    return (this.#db.prepare('SELECT * FROM queued_evaluations ORDER BY id').all() as Row[]).map(toQueued);
  }

  /** What is wrong with those that cannot be read. */
  unreadable(): Generator<RowError> {
    return errorsOf(this.#db.prepare('SELECT * FROM queued_evaluations').all() as Row[], read);
  }

  /** Whether a living process works at it. */
  isHeld(id: number): boolean {
    return this.#holds.isHeld('evaluation', id);
  }

  /**
   * Takes one for the process `pid`, which holds the lock for as long as it works. Of several that try at once one gets
   * it, and none while another has an evaluation, or trains a run.
   */
  claim(id: number, pid: number): FileLock | null {
    return write(this.#db, () => {
      const rows = this.list();
      const own = rows.find((row) => row.id === id);
      if (!own || own.error || own.is_canceled) return null;
      if (rows.some((row) => row.pid !== null && this.isHeld(row.id)) || new Runs(this.#db).held().length > 0)
        return null;
      const lock = this.#holds.take('evaluation', id);
      if (lock === null) return null;
      this.#db
        .prepare(`
          UPDATE queued_evaluations SET pid = ?, heartbeat = ?, begun = begun + 1, queue_position = NULL WHERE id = ?`)
        .run(pid, Date.now(), id);
      return lock;
    });
  }

  /** Stores the result and removes it from the queue, in one transaction. @throws AppError canceled where it was canceled */
  finish(id: number, found: Pick<Evaluation, 'checkpoint_id' | 'dataset_id' | 'task' | 'result'>): Evaluation {
    return write(this.#db, () => {
      if (this.get(id).is_canceled) throw new AppError('canceled', 'It was canceled.');
      this.remove(id);
      return new Evaluations(this.#db).add(found);
    });
  }

  /** Puts it at the front of the queue: it was begun already. */
  putBack(id: number): void {
    write(this.#db, () => {
      this.#db.prepare('UPDATE queued_evaluations SET pid = NULL, heartbeat = NULL WHERE id = ?').run(id);
      this.#queue.put({ kind: 'evaluation', id }, this.#queue.order()[0] ?? null);
    });
  }

  /** Marks it as failed: it stays, with the error, until it is dismissed. Its features so far go to the next, or are deleted. */
  fail(id: number, error: ErrorReport): void {
    write(this.#db, () => {
      this.#db
        .prepare('UPDATE queued_evaluations SET pid = NULL, queue_position = NULL, error = ? WHERE id = ?')
        .run(JSON.stringify(error), id);
      this.#handOn(id);
      this.#parts.delete(id);
    });
  }

  /** Removes it from the queue. One that a process works at is only marked; that process then ends it. */
  cancel(id: number): void {
    write(this.#db, () => {
      const row = this.list().find((one) => one.id === id);
      if (row && this.isHeld(id))
        this.#db.prepare('UPDATE queued_evaluations SET is_canceled = 1 WHERE id = ?').run(id);
      else this.remove(id);
    });
  }

  /** Its features go to the next one that needs them; where there is none, they are deleted with it. */
  remove(id: number): void {
    write(this.#db, () => {
      this.#handOn(id);
      this.#db.prepare('DELETE FROM queued_evaluations WHERE id = ?').run(id);
    });
  }

  /**
   * Evaluations of one checkpoint by classes compute the same features: what one has, the next in the queue goes on with. So
   * features are kept only as long as somebody waits for them. The key of a part says whether it fits.
   */
  #handOn(id: number): void {
    const rows = this.list().filter(({ task }) => CLASS_TASKS.includes(task));
    const own = rows.find((row) => row.id === id);
    const [heir] = rows
      .filter(({ error, is_canceled, ...row }) => row.id !== id && error === null && !is_canceled)
      .filter((row) => row.checkpoint_id === own?.checkpoint_id && row.dataset_id === own.dataset_id)
      .sort((a, b) => (a.queue_position ?? 0) - (b.queue_position ?? 0));
    if (heir) this.#parts.handOn(id, heir.id);
  }

  /**
   * Evaluations whose process died go back to the front of the queue.
   * @param most one whose process died this often fails instead, with the report of `gaveUp`
   */
  recoverLost(most: number, gaveUp: (row: QueuedEvaluation) => ErrorReport): void {
    if (!this.list().some((row) => row.pid !== null && !this.isHeld(row.id))) return;
    write(this.#db, () => {
      for (const row of this.list().toReversed()) {
        if (row.pid === null || this.isHeld(row.id)) continue;
        this.#holds.forget('evaluation', row.id);
        if (row.is_canceled) this.remove(row.id);
        else if (row.deaths + 1 >= most) this.fail(row.id, gaveUp(row));
        else {
          this.#db.prepare('UPDATE queued_evaluations SET deaths = deaths + 1 WHERE id = ?').run(row.id);
          this.putBack(row.id);
        }
      }
    });
  }

  /** Keeps features that one has computed, from its image `start` on. @throws AppError not-found where it is gone */
  savePart(id: number, key: string, start: number, features: Float32Array): void {
    write(this.#db, () => {
      this.get(id);
      this.#parts.save(id, key, { start, features });
    });
  }

  /** What was kept, in order. */
  parts(id: number, key: string): FeaturePart[] {
    return this.#parts.list(id, key);
  }
}
