import { z } from 'zod';
import { type ProbeAnswer, probeAnswerSchema } from '../../shared/contract/explore.ts';
import { fromJson } from './json.ts';
import { type Db, write } from './open.ts';

const savedSchema = z.object({ key: z.string(), answers: z.array(z.array(probeAnswerSchema)) });

/** Look-ups of a run's fixed images, by step; step 0 is the untrained network. */
export class Probes {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** @param key names the images and masks that were asked, so that answers to others are not shown beside them */
  save(runId: number, step: number, key: string, answers: ProbeAnswer[][]): void {
    write(this.#db, () =>
      this.#db
        .prepare('INSERT OR REPLACE INTO probes VALUES (?, ?, ?)')
        .run(runId, step, JSON.stringify({ key, answers })),
    );
  }

  /** Answers by step, of these images and masks. */
  list(runId: number, key: string): Map<number, ProbeAnswer[][]> {
    const rows = this.#db.prepare('SELECT step, answers FROM probes WHERE run_id = ? ORDER BY step').all(runId);
    return new Map(
      (rows as { step: number; answers: string }[]).flatMap(({ step, answers }) => {
        const row = `the look-ups of run ${runId} at step ${step}`;
        const saved = fromJson(savedSchema, answers, { row, column: 'probes.answers' });
        return saved.key === key ? [[step, saved.answers] as const] : [];
      }),
    );
  }
}
