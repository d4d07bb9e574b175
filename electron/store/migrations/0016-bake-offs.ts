import type { Database } from 'better-sqlite3';

/** Methods that are held against each other, and the runs of each such comparison. */
export function bakeOffs(db: Database): void {
  db.exec(`
    CREATE TABLE bake_offs (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      name TEXT NOT NULL UNIQUE,
      -- Null where it was forgotten: what was asked names it.
      dataset_id INTEGER REFERENCES datasets ON DELETE SET NULL,
      test_dataset_id INTEGER REFERENCES datasets ON DELETE SET NULL,
      -- As JSON: what was asked for, and what it was planned to take.
      asked TEXT NOT NULL,
      plan TEXT NOT NULL,
      created_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX bake_offs_by_dataset ON bake_offs (dataset_id);
    CREATE INDEX bake_offs_by_test_dataset ON bake_offs (test_dataset_id);

    CREATE TABLE bake_off_runs (
      bake_off_id INTEGER NOT NULL REFERENCES bake_offs ON DELETE CASCADE,
      run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
      role TEXT NOT NULL CHECK (role IN ('pretrain', 'finetune', 'supervised')),
      -- Place among what was asked for.
      entry INTEGER NOT NULL,
      seed INTEGER NOT NULL,
      -- Whether what follows from its end has been put in the queue.
      is_tended INTEGER NOT NULL DEFAULT 0,
      PRIMARY KEY (bake_off_id, run_id),
      UNIQUE (bake_off_id, role, entry, seed)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX bake_off_runs_by_run ON bake_off_runs (run_id);
  `);
}
