import type { Notice } from '../../shared/run.ts';
import { type Db, write } from './open.ts';

/** What a person should know of a run, beside how it ended. */
export class Notices {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** @param key one of the same key takes the place of the one before */
  add(runId: number, { key, step, text }: { key: string; step: number; text: string }): void {
    write(this.#db, () =>
      this.#db
        .prepare(`
          INSERT INTO notices (run_id, key, step, created_at, text) VALUES (@runId, @key, @step, @now, @text)
          ON CONFLICT DO UPDATE SET step = @step, created_at = @now, text = @text`)
        .run({ runId, key, step, text, now: Date.now() }),
    );
  }

  /** Notices of a run, in the order in which each first appeared. */
  list(runId: number): Notice[] {
    return this.#db
      .prepare('SELECT step, created_at, text FROM notices WHERE run_id = ? ORDER BY rowid')
      .all(runId) as Notice[];
  }

  /** How many each run has, of those that have any. */
  counts(): Map<number, number> {
    const rows = this.#db.prepare('SELECT run_id, count(*) FROM notices GROUP BY run_id').raw().all();
    return new Map(rows as [number, number][]);
  }
}
