import type { Database } from 'better-sqlite3';

/**
 * What a window adds: notes, tags and a queue of runs; recipes that a user saved; look-ups of fixed images at every
 * checkpoint, which are kept although the checkpoint goes.
 */
export function window(db: Database): void {
  db.exec(`
    ALTER TABLE runs ADD COLUMN notes TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
    -- The least is started next; null for a run that is not in the queue.
    ALTER TABLE runs ADD COLUMN queue_position REAL;

    CREATE TABLE presets (
      name TEXT PRIMARY KEY,
      title TEXT NOT NULL,
      based_on TEXT NOT NULL,
      config TEXT NOT NULL,
      created_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE probes (
      run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
      step INTEGER NOT NULL,
      answers TEXT NOT NULL,
      PRIMARY KEY (run_id, step)
    ) STRICT, WITHOUT ROWID;
  `);
}
