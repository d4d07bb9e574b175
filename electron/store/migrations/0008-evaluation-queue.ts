import type { Database } from 'better-sqlite3';

/** Evaluations that wait in the queue of the runs, are being worked at, or failed; one that is done has no row here. */
export function evaluationQueue(db: Database): void {
  db.exec(`
    CREATE TABLE queued_evaluations (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
      -- May be deleted while this waits: that is then said, and not passed over in silence.
      checkpoint_id INTEGER NOT NULL,
      step INTEGER NOT NULL,
      dataset_id INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
      test_dataset_id INTEGER REFERENCES datasets ON DELETE CASCADE,
      task TEXT NOT NULL CHECK (task IN ('knn', 'linear', 'lookup', 'fewshot')),
      -- What else it is told, as JSON.
      options TEXT NOT NULL,
      -- Among those of the runs: the least is started next. Null while it is worked at, and where it failed.
      queue_position REAL,
      pid INTEGER,
      heartbeat INTEGER,
      -- How often it was begun, and how often the process ended without a word.
      begun INTEGER NOT NULL DEFAULT 0,
      deaths INTEGER NOT NULL DEFAULT 0,
      is_canceled INTEGER NOT NULL DEFAULT 0,
      error TEXT,
      created_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX queued_evaluations_by_run ON queued_evaluations (run_id);
    CREATE INDEX queued_evaluations_by_dataset ON queued_evaluations (dataset_id);
    CREATE INDEX queued_evaluations_by_test_dataset ON queued_evaluations (test_dataset_id);

    -- Features that such an evaluation has computed, so that it goes on where it ended.
    CREATE TABLE evaluation_features (
      evaluation_id INTEGER NOT NULL REFERENCES queued_evaluations ON DELETE CASCADE,
      -- Names the network and the images.
      key TEXT NOT NULL,
      -- Place of the first image.
      start INTEGER NOT NULL,
      data BLOB NOT NULL,
      PRIMARY KEY (evaluation_id, key, start)
    ) STRICT;
  `);
}
