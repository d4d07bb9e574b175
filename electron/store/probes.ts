import { z } from 'zod';
import { type ProbeAnswer, probeAnswerSchema } from '../../shared/contract/explore.ts';
import { errorsOf, fromJson, type RowError } from './json.ts';
import { type Db, write } from './open.ts';

interface Row {
  run_id: number;
  step: number;
  answers: string;
}

const savedSchema = z.object({ key: z.string(), answers: z.array(z.array(probeAnswerSchema)) });

const savedIn = ({ run_id, step, answers }: Row) =>
  fromJson(savedSchema, answers, { row: `the look-ups of run ${run_id} at step ${step}`, column: 'probes.answers' });

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
    const rows = this.#db.prepare('SELECT * FROM probes WHERE run_id = ? ORDER BY step').all(runId) as Row[];
    return new Map(
      rows.flatMap((row) => {
        const saved = savedIn(row);
        return saved.key === key ? [[row.step, saved.answers] as const] : [];
      }),
    );
  }

  /** What is wrong with those that cannot be read. */
  unreadable(): Generator<RowError> {
    return errorsOf(this.#db.prepare('SELECT * FROM probes').iterate() as Iterable<Row>, savedIn);
  }
}
