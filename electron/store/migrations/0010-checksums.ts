import type { Database } from 'better-sqlite3';

/**
 * Checksums of checkpoints, so that what a disk changed is noticed when it is read. Rows that are there keep none: one
 * that is made now would call sound what may be damaged already. A table of its own, as a column would come after the
 * values, and filling it write them all again.
 */
export function checksums(db: Database): void {
  db.exec(`
    CREATE TABLE tensor_checksums (
      tensor_id INTEGER PRIMARY KEY REFERENCES tensors ON DELETE CASCADE,
      crc32 INTEGER NOT NULL
    ) STRICT;
    -- Of config and state.
    ALTER TABLE checkpoints ADD COLUMN crc32 INTEGER;
  `);
}
