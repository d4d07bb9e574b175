import type { Database } from 'better-sqlite3';

/**
 * Means of twenty steps each, made when a curve of a long run is first asked for: a million steps are then drawn from
 * fifty thousand rows.
 */
export function metricBlocks(db: Database): void {
  db.exec(`
    CREATE TABLE metric_blocks (
      run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
      block INTEGER NOT NULL,
      step INTEGER NOT NULL,
      epoch REAL NOT NULL,
      time REAL NOT NULL,
      replaced INTEGER NOT NULL,
      loss REAL,
      top1 REAL,
      top5 REAL,
      top1_control REAL,
      grad_norm REAL,
      lr REAL,
      weight_decay REAL,
      momentum REAL,
      images_per_s REAL,
      data_wait REAL,
      rank_student REAL,
      rank_teacher REAL,
      cosine_student REAL,
      cosine_teacher REAL,
      PRIMARY KEY (run_id, block)
    ) STRICT, WITHOUT ROWID;
  `);
}
