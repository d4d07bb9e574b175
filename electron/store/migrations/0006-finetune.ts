import type { Database } from 'better-sqlite3';

/** Runs that fine-tune, and evaluations by few shots and by fine-tuning. */
export function finetune(db: Database): void {
  db.exec(`
    -- What a fine-tuning is told beside its configuration, as JSON; null for a pretraining.
    ALTER TABLE runs ADD COLUMN finetune TEXT;

    -- A CHECK cannot be changed in place.
    CREATE TABLE evaluations_new (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      checkpoint_id INTEGER REFERENCES checkpoints ON DELETE SET NULL,
      run_id INTEGER REFERENCES runs ON DELETE CASCADE,
      dataset_id INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
      task TEXT NOT NULL CHECK (task IN ('knn', 'linear', 'lookup', 'fewshot', 'finetune')),
      created_at INTEGER NOT NULL,
      result TEXT NOT NULL
    ) STRICT;
    INSERT INTO evaluations_new SELECT id, checkpoint_id, run_id, dataset_id, task, created_at, result FROM evaluations;
    DROP TABLE evaluations;
    ALTER TABLE evaluations_new RENAME TO evaluations;
    CREATE INDEX evaluations_by_run ON evaluations (run_id);
    CREATE INDEX evaluations_by_checkpoint ON evaluations (checkpoint_id);
    CREATE INDEX evaluations_by_dataset ON evaluations (dataset_id);
  `);
}
