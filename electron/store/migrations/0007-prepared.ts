import type { Database } from 'better-sqlite3';

/**
 * Images that were prepared for loading: which set they are in, and where their pixels lie. The pixels are files in a
 * folder of their own; a row stands only for pixels that are on the disk.
 */
export function prepared(db: Database): void {
  db.exec(`
    CREATE TABLE prepared_sets (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      dataset_id INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
      -- Shorter side at most, pixels.
      size INTEGER NOT NULL,
      -- The file that is written to, and its bytes that are whole. No number and no place is used twice, so that a run
      -- that has a file mapped never sees other pixels.
      file INTEGER NOT NULL DEFAULT 0,
      end INTEGER NOT NULL DEFAULT 0,
      -- Who writes to it, and when it last did.
      pid INTEGER,
      heartbeat INTEGER,
      created_at INTEGER NOT NULL,
      UNIQUE (dataset_id, size)
    ) STRICT;

    CREATE TABLE prepared_images (
      set_id INTEGER NOT NULL REFERENCES prepared_sets ON DELETE CASCADE,
      image_id INTEGER NOT NULL,
      file INTEGER NOT NULL,
      start INTEGER NOT NULL,
      width INTEGER NOT NULL,
      height INTEGER NOT NULL,
      hash TEXT NOT NULL,
      PRIMARY KEY (set_id, image_id)
    ) STRICT, WITHOUT ROWID;
  `);
}
