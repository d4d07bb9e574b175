import { crc32 } from 'node:zlib';
import type { Database } from 'better-sqlite3';

/** What had to be guessed from tensors is said by the row. */
export function said(db: Database): void {
  sayMissingProjectors(db);
  sayMissingPositions(db);
}

/** Importing put zeros once where a file had no projector: the checkpoint lacks it. */
function sayMissingProjectors(db: Database): void {
  const rows = db
    .prepare(`
      SELECT id, config, state, crc32 AS sum FROM checkpoints c
      WHERE CASE WHEN json_valid(state) THEN state ->> 'imported_from' IS NOT NULL AND state -> 'lacks' IS NULL END
        AND EXISTS (SELECT 1 FROM tensors WHERE checkpoint_id = c.id AND part = 'student'
          AND name GLOB 'projectors.*.weight' AND shape LIKE '%,%' AND data = zeroblob(length(data)))`)
    .all() as { id: number; config: string; state: string; sum: number | null }[];
  const sumOf = (config: string, state: string) => crc32(JSON.stringify([config, state]));
  const update = db.prepare('UPDATE checkpoints SET state = ?, crc32 = ? WHERE id = ?');
  for (const { id, config, state, sum } of rows) {
    if (sum !== null && sum !== sumOf(config, state)) continue; // a new checksum would call what is damaged sound
    const now = JSON.stringify({ ...JSON.parse(state), lacks: ['projector'] });
    update.run(now, sum === null ? null : sumOf(config, now), id);
  }
}

/** Fine-tunings left fixed positions out once; one that was begun so goes on so. */
function sayMissingPositions(db: Database): void {
  db.exec(`
    UPDATE runs SET finetune = json_set(finetune, '$.has_positions', json('false'))
    WHERE CASE WHEN json_valid(finetune) AND json_valid(config)
      THEN json_type(finetune) = 'object' AND config ->> '$.model.position' = 'fixed-sincos' END
      AND (SELECT NOT EXISTS (SELECT 1 FROM tensors WHERE checkpoint_id = c.id AND part = 'student' AND name = 'pos_embed')
        FROM checkpoints c WHERE run_id = runs.id AND has_optimizer = 1 ORDER BY step DESC LIMIT 1)`);
}
