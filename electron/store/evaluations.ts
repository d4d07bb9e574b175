import { type Evaluation, evaluationResultSchema } from '../../shared/evaluation.ts';
import { errorsOf, fromJson, type RowError } from './json.ts';
import { type Db, write } from './open.ts';

type Row = Omit<Evaluation, 'result'> & { result: string };
const SELECT = 'SELECT id, checkpoint_id, dataset_id, task, created_at, result FROM evaluations';
const toEvaluation = (row: Row): Evaluation => ({
  ...row,
  result: fromJson(evaluationResultSchema, row.result, { row: `evaluation ${row.id}`, column: 'evaluations.result' }),
});

export class Evaluations {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  add(evaluation: Pick<Evaluation, 'checkpoint_id' | 'dataset_id' | 'task' | 'result'>): Evaluation {
    return write(this.#db, () => {
      const { lastInsertRowid } = this.#db
        .prepare(`
          INSERT INTO evaluations (checkpoint_id, run_id, dataset_id, task, created_at, result)
          VALUES (@checkpoint_id, (SELECT run_id FROM checkpoints WHERE id = @checkpoint_id), @dataset_id, @task, @now, @result)`)
        .run({ ...evaluation, result: JSON.stringify(evaluation.result), now: Date.now() });
      return toEvaluation(this.#db.prepare(`${SELECT} WHERE id = ?`).get(lastInsertRowid) as Row);
    });
  }

  /**
   * Adds one run's result to the evaluation that all runs of a comparison share; the first result creates it.
   * @param group names the comparison
   */
  addToComparison(
    group: string,
    evaluation: Pick<Evaluation, 'checkpoint_id' | 'dataset_id' | 'task' | 'result'>,
  ): Evaluation {
    return write(this.#db, () => {
      const row = this.#db
        .prepare(
          `${SELECT} WHERE task = ? AND CASE WHEN json_valid(result) THEN json_extract(result, '$.group') END = ?`,
        )
        .get(evaluation.task, group) as Row | undefined;
      if (!row) return this.add(evaluation);
      // Objects are joined; of anything else the later word counts (RFC 7396).
      this.#db
        .prepare('UPDATE evaluations SET result = json_patch(result, ?), created_at = ? WHERE id = ?')
        .run(JSON.stringify(evaluation.result), Date.now(), row.id);
      return toEvaluation(this.#db.prepare(`${SELECT} WHERE id = ?`).get(row.id) as Row);
    });
  }

  /** What is wrong with those that cannot be read. */
  unreadable(): Generator<RowError> {
    return errorsOf(this.#db.prepare(SELECT).iterate() as Iterable<Row>, toEvaluation);
  }

  /** The number of the newest; 0 where there is none. */
  lastId(): number {
    return this.#db.prepare('SELECT coalesce(max(id), 0) FROM evaluations').pluck().get() as number;
  }

  /** How many there are on a dataset. */
  countOn(datasetId: number): number {
    return this.#db.prepare('SELECT count(*) FROM evaluations WHERE dataset_id = ?').pluck().get(datasetId) as number;
  }

  /** By age. Those of a run include those of checkpoints that are deleted by now. */
  list({ checkpoint_id, run_id }: { checkpoint_id?: number; run_id?: number } = {}): Evaluation[] {
    const rows = this.#db
      .prepare(`
        ${SELECT} WHERE (@checkpoint_id IS NULL OR checkpoint_id = @checkpoint_id) AND (@run_id IS NULL OR run_id = @run_id)
        ORDER BY id`)
      .all({ checkpoint_id: checkpoint_id ?? null, run_id: run_id ?? null }) as Row[];
    return rows.map(toEvaluation);
  }
}
