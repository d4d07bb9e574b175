import type { Database } from 'better-sqlite3';

/**
 * Checksums of checkpoints, so that damage on the disk is noticed when one is read. Older rows get none: they may be
 * damaged already, and a checksum made now would call them sound. It is a table of its own because filling a column would
 * write all tensors again.
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
