import type { Database } from 'better-sqlite3';

/**
 * Datasets, images, runs, metrics, checkpoints, evaluations. Times are milliseconds since 1970; JSON is text. Measured
 * numbers may be null where they were not finite. Identifiers are never used again: people write them down.
 */
export function start(db: Database): void {
  db.exec(`
    CREATE TABLE datasets (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      name TEXT NOT NULL UNIQUE,
      folders TEXT NOT NULL,
      labels TEXT NOT NULL CHECK (labels IN ('none', 'folders')),
      created_at INTEGER NOT NULL,
      scanned_at INTEGER
    ) STRICT;

    CREATE TABLE images (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      dataset_id INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
      folder INTEGER NOT NULL,
      path TEXT NOT NULL,
      bytes INTEGER NOT NULL,
      mtime REAL NOT NULL,
      hash TEXT NOT NULL,
      width INTEGER NOT NULL,
      height INTEGER NOT NULL,
      format TEXT NOT NULL,
      label TEXT,
      status TEXT NOT NULL CHECK (status IN ('ok', 'skipped', 'vanished')),
      reason TEXT,
      detail TEXT,
      UNIQUE (dataset_id, folder, path)
    ) STRICT;
    CREATE INDEX images_by_status ON images (dataset_id, status);
    CREATE INDEX images_by_hash ON images (dataset_id, hash);

    CREATE TABLE runs (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      name TEXT NOT NULL UNIQUE,
      dataset_id INTEGER REFERENCES datasets ON DELETE RESTRICT,
      preset TEXT,
      config TEXT NOT NULL,
      status TEXT NOT NULL CHECK (status IN
        ('queued', 'running', 'paused', 'interrupted', 'finished', 'stopped', 'failed')),
      step INTEGER NOT NULL,
      total_steps INTEGER NOT NULL,
      steps_per_epoch INTEGER NOT NULL,
      created_at INTEGER NOT NULL,
      started_at INTEGER,
      ended_at INTEGER,
      pid INTEGER,
      heartbeat INTEGER,
      request TEXT CHECK (request IN ('pause', 'stop')),
      error TEXT,
      runtime TEXT
    ) STRICT;
    CREATE INDEX runs_by_dataset ON runs (dataset_id);

    CREATE TABLE metrics (
      run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
      step INTEGER NOT NULL,
      epoch REAL NOT NULL,
      time REAL NOT NULL,
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
      replaced INTEGER NOT NULL,
      rank_student REAL,
      rank_teacher REAL,
      cosine_student REAL,
      cosine_teacher REAL,
      PRIMARY KEY (run_id, step)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE checkpoints (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
      step INTEGER NOT NULL,
      epoch REAL NOT NULL,
      created_at INTEGER NOT NULL,
      loss REAL,
      has_optimizer INTEGER NOT NULL,
      is_best INTEGER NOT NULL,
      config TEXT NOT NULL,
      state TEXT NOT NULL,
      bytes INTEGER NOT NULL,
      UNIQUE (run_id, step)
    ) STRICT;

    CREATE TABLE tensors (
      id INTEGER PRIMARY KEY,
      checkpoint_id INTEGER NOT NULL REFERENCES checkpoints ON DELETE CASCADE,
      part TEXT NOT NULL CHECK (part IN ('student', 'teacher', 'exp_avg', 'exp_avg_sq')),
      name TEXT NOT NULL,
      shape TEXT NOT NULL,
      data BLOB NOT NULL,
      UNIQUE (checkpoint_id, part, name)
    ) STRICT;

    -- What was found outlives the checkpoint that it was found of, so the run is named beside it.
    CREATE TABLE evaluations (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      checkpoint_id INTEGER REFERENCES checkpoints ON DELETE SET NULL,
      run_id INTEGER REFERENCES runs ON DELETE CASCADE,
      dataset_id INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
      task TEXT NOT NULL CHECK (task IN ('knn', 'linear', 'lookup')),
      created_at INTEGER NOT NULL,
      result TEXT NOT NULL
    ) STRICT;
    CREATE INDEX evaluations_by_run ON evaluations (run_id);
    CREATE INDEX evaluations_by_checkpoint ON evaluations (checkpoint_id);
    CREATE INDEX evaluations_by_dataset ON evaluations (dataset_id);
  `);
}
