import type { QueueItem } from '../../shared/queue.ts';
import { type Db, write } from './open.ts';

const TABLES = { run: 'runs', evaluation: 'queued_evaluations' } as const;

/** The one queue of runs and of evaluations: one thing after the other has the device. */
export class Queue {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** What waits, in the order in which it is to be started. */
  order(): (QueueItem & { position: number })[] {
    return this.#db
      .prepare(`
        SELECT 'run' AS kind, id, queue_position AS position FROM runs WHERE queue_position IS NOT NULL AND status = 'queued'
        UNION ALL SELECT 'evaluation', id, queue_position FROM queued_evaluations WHERE queue_position IS NOT NULL
        ORDER BY position, kind, id`)
      .all() as (QueueItem & { position: number })[];
  }

  /** Puts a run or an evaluation before another, or at the end; what is in the queue already moves. */
  put({ kind, id }: QueueItem, before: QueueItem | null = null): void {
    write(this.#db, () => {
      const others = this.order().filter((one) => one.kind !== kind || one.id !== id);
      const found = others.findIndex((one) => one.kind === before?.kind && one.id === before.id);
      const at = found < 0 ? others.length : found;
      const low = others[at - 1]?.position ?? (others[at]?.position ?? 0) - 2;
      const high = others[at]?.position ?? low + 2;
      this.#db.prepare(`UPDATE ${TABLES[kind]} SET queue_position = ? WHERE id = ?`).run((low + high) / 2, id);
    });
  }
}
