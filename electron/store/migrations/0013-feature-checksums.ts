import type { Database } from 'better-sqlite3';

/** Checksums of features that were computed before a stop; those of an older version have none, and are computed again. */
export function featureChecksums(db: Database): void {
  db.exec(`
    ALTER TABLE feature_parts ADD COLUMN crc32 INTEGER;
    ALTER TABLE evaluation_features ADD COLUMN crc32 INTEGER;
  `);
}
