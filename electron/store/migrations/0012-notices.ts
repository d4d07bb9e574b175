import type { Database } from 'better-sqlite3';

/**
 * Notices of a run are kept with it. An evaluation outlives its dataset, as it outlives its checkpoint: the result has
 * their names. Only what is queued has a place in the queue.
 */
export function notices(db: Database): void {
  db.exec(`
    CREATE TABLE notices (
      run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
      -- One that is said again takes the place of the one before.
      key TEXT NOT NULL,
      step INTEGER NOT NULL,
      created_at INTEGER NOT NULL,
      text TEXT NOT NULL,
      PRIMARY KEY (run_id, key)
    ) STRICT;

    -- A reference cannot be changed in place.
    CREATE TABLE evaluations_new (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      checkpoint_id INTEGER REFERENCES checkpoints ON DELETE SET NULL,
      run_id INTEGER REFERENCES runs ON DELETE CASCADE,
      dataset_id INTEGER REFERENCES datasets ON DELETE SET NULL,
      task TEXT NOT NULL CHECK (task IN ('knn', 'linear', 'lookup', 'fewshot', 'finetune')),
      created_at INTEGER NOT NULL,
      result TEXT NOT NULL
    ) STRICT;
    INSERT INTO evaluations_new SELECT id, checkpoint_id, run_id, dataset_id, task, created_at, result FROM evaluations;
    -- Identifiers are never used again.
    INSERT INTO sqlite_sequence (name, seq) SELECT 'evaluations_new', 0
      WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'evaluations_new');
    UPDATE sqlite_sequence SET seq = max(seq, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'evaluations'), 0))
      WHERE name = 'evaluations_new';
    DROP TABLE evaluations;
    ALTER TABLE evaluations_new RENAME TO evaluations;
    CREATE INDEX evaluations_by_run ON evaluations (run_id);
    CREATE INDEX evaluations_by_checkpoint ON evaluations (checkpoint_id);
    CREATE INDEX evaluations_by_dataset ON evaluations (dataset_id);

    UPDATE runs SET queue_position = NULL WHERE status <> 'queued';
  `);
}
