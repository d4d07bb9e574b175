import { lendersIn } from '../../methods/index.ts';
import { AppError } from '../../shared/errors.ts';
import { BakeOffs } from './bake-offs.ts';
import { readEach } from './json.ts';
import type { Db } from './open.ts';
import { storedConfig } from './stored-config.ts';

/** A run that waits, is trained, or can be resumed. */
const UNFINISHED = `status IN ('queued', 'running', 'paused', 'interrupted')`;
/** A fine-tuning of these: one whose settings are damaged cannot go on, and needs nothing. */
const OPEN = `${UNFINISHED} AND finetune IS NOT NULL AND json_valid(finetune)`;

/**
 * Refuses to delete what unfinished work needs: the test images of a fine-tuning, the weights that it starts from, the run
 * whose network another one takes over, the checkpoint and the datasets of a queued evaluation.
 */
export class Needs {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** @param but runs that are about to be deleted @throws AppError conflict */
  refuseDataset(id: number, name: string, but: readonly number[] = []): void {
    const needed = `json_extract(finetune, '$.test_dataset_id') = @id AND id NOT IN (SELECT value FROM json_each(@but))`;
    this.#refuse(`Dataset "${name}"`, [
      ...this.#fineTunings(needed, { id, but: JSON.stringify(but) }),
      ...this.#evaluations('@id IN (q.dataset_id, q.test_dataset_id)', { id }),
    ]);
  }

  /** @param ids of runs that are deleted together @throws AppError conflict */
  refuseRuns(ids: readonly number[]): void {
    for (const id of ids) {
      const name = this.#db.prepare('SELECT name FROM runs WHERE id = ?').pluck().get(id);
      const needed = `
        (json_extract(finetune, '$.run_id') = @id OR
          json_extract(finetune, '$.source_id') IN (SELECT id FROM checkpoints WHERE run_id = @id))
        AND id NOT IN (SELECT value FROM json_each(@ids))`;
      // An evaluation of the run itself goes with it; one of another may stand beside its weights.
      this.#refuse(`Run "${name}"`, [
        ...this.#fineTunings(needed, { id, ids: JSON.stringify(ids) }),
        ...this.#borrowers(id, ids),
      ]);
    }
  }

  /** @throws AppError conflict */
  refuseCheckpoint(id: number): void {
    const lender = this.#db
      .prepare(
        'SELECT run_id FROM checkpoints WHERE id = ? AND id = (SELECT max(id) FROM checkpoints c WHERE c.run_id = checkpoints.run_id)',
      )
      .pluck()
      .get(id) as number | undefined;
    this.#refuse(`Checkpoint ${id}`, [
      ...(lender === undefined ? [] : this.#borrowers(lender)),
      ...this.#fineTunings(
        `@id IN (json_extract(finetune, '$.checkpoint_id'), json_extract(finetune, '$.source_id'))`,
        { id },
      ),
      ...this.#evaluations('q.checkpoint_id = @id', { id }),
    ]);
  }

  /** Checkpoints of a run that unfinished work needs. */
  checkpointsOf(runId: number): Set<number> {
    const rows = this.#db
      .prepare(`
        SELECT checkpoint_id FROM queued_evaluations WHERE run_id = @runId AND error IS NULL
        UNION SELECT json_extract(finetune, '$.source_id') FROM runs WHERE ${OPEN}
        UNION SELECT json_extract(finetune, '$.checkpoint_id') FROM runs WHERE ${OPEN}`)
      .pluck()
      .all({ runId });
    return new Set(rows as number[]);
  }

  #fineTunings(where: string, values: object): string[] {
    const rows = this.#db
      .prepare(`SELECT id, name, status FROM runs WHERE ${OPEN} AND ${where} ORDER BY id`)
      .all(values);
    return (rows as { id: number; name: string; status: string }[]).map(
      ({ id, name, status }) => `run ${id} "${name}" (${status})`,
    );
  }

  /**
   * What has still to take over the network of a run: runs without a checkpoint, for each keeps it in its own from the first
   * on, and bake-offs that have not all of their runs as far as that.
   */
  #borrowers(lender: number, but: readonly number[] = []): string[] {
    const rows = this.#db.prepare(`SELECT id, name, status, config FROM runs WHERE ${UNFINISHED} ORDER BY id`).all();
    // What is damaged cannot go on, and needs nothing.
    const { sound } = readEach(rows as { id: number; name: string; status: string; config: string }[], (row) => ({
      ...row,
      config: storedConfig(row.config, { row: `run ${row.id} "${row.name}"`, column: 'runs.config' }),
    }));
    const runs = sound
      .filter(({ id, config }) => !but.includes(id) && lendersIn(config).includes(lender) && !this.#hasCheckpoint(id))
      .map(({ id, name, status }) => `run ${id} "${name}" (${status})`);
    const bakeOffs = new BakeOffs(this.#db)
      .list()
      .filter(({ asked, plan, runs: made }) =>
        plan.entries.some(
          ({ config }, entry) =>
            lendersIn(config).includes(lender) &&
            made.filter((run) => run.role === 'pretrain' && run.entry === entry && this.#hasCheckpoint(run.run_id))
              .length < asked.seeds,
        ),
      )
      .map(({ id, name }) => `bake-off ${id} "${name}"`);
    return [...bakeOffs, ...runs];
  }

  #hasCheckpoint(run: number): boolean {
    return this.#db.prepare('SELECT 1 FROM checkpoints WHERE run_id = ? LIMIT 1').get(run) !== undefined;
  }

  #evaluations(where: string, values: object): string[] {
    const rows = this.#db
      .prepare(`
        SELECT q.task, q.step, r.name FROM queued_evaluations q JOIN runs r ON r.id = q.run_id
        WHERE q.error IS NULL AND ${where} ORDER BY q.id`)
      .all(values);
    return (rows as { task: string; step: number; name: string }[]).map(
      ({ task, step, name }) => `an evaluation of the queue (${task} of "${name}", step ${step})`,
    );
  }

  #refuse(what: string, by: readonly string[]): void {
    if (by.length === 0) return;
    const named = by.slice(0, 3).join(', ');
    const more = by.length > 3 ? `, and ${by.length - 3} more` : '';
    throw new AppError(
      'conflict',
      `${what} is needed.`,
      `By ${named}${more}.`,
      'Wait until it has ended, or end it first: `conmim stop RUN` for a run, `conmim compare-methods --delete NAME` for a ' +
        'bake-off (its runs stay), or the queue of the window.',
    );
  }
}
