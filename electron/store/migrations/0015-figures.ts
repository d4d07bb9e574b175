import type { Database } from 'better-sqlite3';

/** What a step measures is its method's to name: in place of a column for each of the first method's figures stands one record. */
export function figures(db: Database): void {
  // In JavaScript, whose numbers are read again as they were; SQLite's own JSON has seventeen digits of each.
  db.function('figures_of', { varargs: true, deterministic: true }, figuresOf);
  for (const [table, key] of [
    ['metrics', 'step'],
    ['metric_blocks', 'block'],
  ] as const)
    db.exec(`
      CREATE TABLE new_${table} (
        run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
        ${key === 'block' ? 'block INTEGER NOT NULL,' : ''}
        step INTEGER NOT NULL,
        epoch REAL NOT NULL,
        time REAL NOT NULL,
        replaced INTEGER NOT NULL,
        loss REAL,
        grad_norm REAL,
        lr REAL,
        weight_decay REAL,
        momentum REAL,
        images_per_s REAL,
        data_wait REAL,
        -- JSON, by key: null where it was no number, and missing where it was not measured.
        figures TEXT NOT NULL,
        PRIMARY KEY (run_id, ${key})
      ) STRICT, WITHOUT ROWID;
      INSERT INTO new_${table}
        SELECT run_id, ${key === 'block' ? 'block,' : ''} step, epoch, time, replaced,
          loss, grad_norm, lr, weight_decay, momentum, images_per_s, data_wait,
          figures_of(top1, top5, top1_control, rank_student, rank_teacher, cosine_student, cosine_teacher)
        FROM ${table} ORDER BY run_id, ${key};
      DROP TABLE ${table};
      ALTER TABLE new_${table} RENAME TO ${table};
    `);
}

/** The first two were measured at every step, so that null is a number that was none; of the others it says: not measured. */
function figuresOf(...values: unknown[]): string {
  const [top1, top5, ...others] = values as (number | null)[];
  const found: Record<string, number | null> = { top1: top1!, top5: top5! };
  for (const [i, key] of ['top1_control', 'rank_student', 'rank_teacher', 'cosine_student', 'cosine_teacher'].entries())
    if (others[i] !== null) found[key] = others[i]!;
  return JSON.stringify(found);
}
