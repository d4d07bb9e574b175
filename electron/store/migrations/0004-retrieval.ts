import type { Database } from 'better-sqlite3';

/**
 * Indexes of patch features: what each is of, and which image stands in which slot. Their vectors are files in a folder
 * of their own; a slot counts once its vectors are on the disk.
 */
export function retrieval(db: Database): void {
  db.exec(`
    CREATE TABLE retrieval_indexes (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      checkpoint_id INTEGER NOT NULL REFERENCES checkpoints ON DELETE CASCADE,
      dataset_id INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
      part TEXT NOT NULL CHECK (part IN ('student', 'teacher', 'untrained')),
      feature TEXT NOT NULL,
      -- Spread evenly over the dataset; 0 for all of its images.
      max_images INTEGER NOT NULL,
      is_ready INTEGER NOT NULL DEFAULT 0,
      created_at INTEGER NOT NULL,
      UNIQUE (checkpoint_id, dataset_id, part, feature, max_images)
    ) STRICT;
    CREATE INDEX retrieval_indexes_by_dataset ON retrieval_indexes (dataset_id);

    CREATE TABLE retrieval_images (
      index_id INTEGER NOT NULL REFERENCES retrieval_indexes ON DELETE CASCADE,
      slot INTEGER NOT NULL,
      image_id INTEGER NOT NULL,
      hash TEXT NOT NULL,
      PRIMARY KEY (index_id, slot)
    ) STRICT, WITHOUT ROWID;
  `);
}
