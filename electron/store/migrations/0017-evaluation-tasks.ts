import type { Database } from 'better-sqlite3';

/** Which evaluations there are is the program's to know: a new one takes no new tables. Rows and their numbers stay. */
export function evaluationTasks(db: Database): void {
  db.exec(`
    -- Is there already in a file whose format number is too low, which is then refused.
    CREATE INDEX evaluations_by_task ON evaluations (task);
    -- A condition cannot be taken from a table in place.
    CREATE TABLE new_evaluations (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      checkpoint_id INTEGER REFERENCES checkpoints ON DELETE SET NULL,
      run_id INTEGER REFERENCES runs ON DELETE CASCADE,
      dataset_id INTEGER REFERENCES datasets ON DELETE SET NULL,
      task TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      result TEXT NOT NULL
    ) STRICT;
    INSERT INTO new_evaluations SELECT id, checkpoint_id, run_id, dataset_id, task, created_at, result FROM evaluations;

    CREATE TABLE new_queued_evaluations (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
      -- May be deleted while this waits: that is then said, and not passed over in silence.
      checkpoint_id INTEGER NOT NULL,
      step INTEGER NOT NULL,
      dataset_id INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
      test_dataset_id INTEGER REFERENCES datasets ON DELETE CASCADE,
      task TEXT NOT NULL,
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
    INSERT INTO new_queued_evaluations SELECT id, run_id, checkpoint_id, step, dataset_id, test_dataset_id, task, options,
      queue_position, pid, heartbeat, begun, deaths, is_canceled, error, created_at FROM queued_evaluations;

    -- Features of evaluations that wait go with them: the reference follows the name.
    CREATE TABLE new_evaluation_features (
      evaluation_id INTEGER NOT NULL REFERENCES new_queued_evaluations ON DELETE CASCADE,
      -- Names the network and the images.
      key TEXT NOT NULL,
      -- Place of the first image.
      start INTEGER NOT NULL,
      data BLOB NOT NULL,
      crc32 INTEGER,
      PRIMARY KEY (evaluation_id, key, start)
    ) STRICT;
    INSERT INTO new_evaluation_features SELECT evaluation_id, key, start, data, crc32 FROM evaluation_features;
  `);
  for (const name of ['evaluation_features', 'queued_evaluations', 'evaluations']) {
    // Identifiers are never used again.
    const { seq } = (db.prepare('SELECT seq FROM sqlite_sequence WHERE name = ?').get(name) ?? {}) as { seq?: number };
    db.exec(`DROP TABLE ${name}; ALTER TABLE new_${name} RENAME TO ${name}`);
    if (seq === undefined) continue;
    db.prepare('DELETE FROM sqlite_sequence WHERE name = ?').run(name);
    db.prepare('INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)').run(name, seq);
  }
  db.exec(`
    CREATE INDEX evaluations_by_run ON evaluations (run_id);
    CREATE INDEX evaluations_by_checkpoint ON evaluations (checkpoint_id);
    CREATE INDEX evaluations_by_dataset ON evaluations (dataset_id);
    CREATE INDEX evaluations_by_task ON evaluations (task);
    CREATE INDEX queued_evaluations_by_run ON queued_evaluations (run_id);
    CREATE INDEX queued_evaluations_by_dataset ON queued_evaluations (dataset_id);
    CREATE INDEX queued_evaluations_by_test_dataset ON queued_evaluations (test_dataset_id);
  `);
}
