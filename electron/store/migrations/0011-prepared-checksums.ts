import type { Database } from 'better-sqlite3';

/** A checksum of each image's prepared pixels; null for those of an older version, which cannot be checked. */
export function preparedChecksums(db: Database): void {
  db.exec('ALTER TABLE prepared_images ADD COLUMN crc32 INTEGER');
}
