import type { Database } from 'better-sqlite3';

/** Maps of datasets by features, and the features of an unfinished one, so that it can resume. */
export function featureMaps(db: Database): void {
  db.exec(`
    CREATE TABLE feature_maps (
      run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
      -- Null for the untrained network, which is one for all checkpoints of a run.
      checkpoint_id INTEGER REFERENCES checkpoints ON DELETE CASCADE,
      dataset_id INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
      network TEXT NOT NULL CHECK (network IN ('student', 'teacher', 'untrained')),
      pool TEXT NOT NULL CHECK (pool IN ('mean', 'cls')),
      -- SHA-256 over the images and the checkpoint's time, so that a map of others is not shown.
      images TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      -- Ids as int32, places as float32 pairs.
      ids BLOB NOT NULL,
      places BLOB NOT NULL,
      result TEXT NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX feature_maps_by_network
      ON feature_maps (run_id, coalesce(checkpoint_id, 0), dataset_id, network, pool);
    CREATE INDEX feature_maps_by_checkpoint ON feature_maps (checkpoint_id);
    CREATE INDEX feature_maps_by_dataset ON feature_maps (dataset_id);

    CREATE TABLE feature_parts (
      run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
      key TEXT NOT NULL,
      -- Place of the first image.
      start INTEGER NOT NULL,
      data BLOB NOT NULL,
      PRIMARY KEY (run_id, key, start)
    ) STRICT;
  `);
}
