import { type MapResult, mapResultSchema } from '../../shared/feature-map.ts';
import { floatsOf, integersOf, toBlob } from './blobs.ts';
import { type FeaturePart, FeatureParts } from './feature-parts.ts';
import { errorsOf, fromJson, type RowError } from './json.ts';
import { type Db, write } from './open.ts';

/** Whose map it is. A null checkpoint is the untrained network of the run. */
export interface MapKey {
  run_id: number;
  checkpoint_id: number | null;
  dataset_id: number;
  network: 'student' | 'teacher' | 'untrained';
  pool: 'mean' | 'cls';
  /** Names the images, and the state of the checkpoint. */
  images: string;
}

export interface StoredMap {
  created_at: number;
  ids: Int32Array;
  /** `[n, 2]` */
  places: Float32Array;
  result: MapResult;
}

const WHERE = `run_id = @run_id AND coalesce(checkpoint_id, 0) = coalesce(@checkpoint_id, 0) AND dataset_id = @dataset_id
  AND network = @network AND pool = @pool`;

const resultIn = ({ run_id, dataset_id, result }: Pick<MapKey, 'run_id' | 'dataset_id'> & { result: string }) =>
  fromJson(mapResultSchema, result, {
    row: `a map of run ${run_id} on dataset ${dataset_id}`,
    column: 'feature_maps.result',
  });

/** Maps of datasets by features. */
export class FeatureMaps {
  readonly #db: Db;
  readonly #parts: FeatureParts;

  constructor(db: Db) {
    this.#db = db;
    this.#parts = new FeatureParts(db, 'feature_parts');
  }

  /** Stores a finished map. It replaces an older one, and the parts that it was computed from are deleted. */
  save(key: MapKey, { ids, places, result }: Omit<StoredMap, 'created_at'>): void {
    write(this.#db, () => {
      this.#db.prepare(`DELETE FROM feature_maps WHERE ${WHERE}`).run(key);
      this.#db
        .prepare(`
          INSERT INTO feature_maps VALUES
          (@run_id, @checkpoint_id, @dataset_id, @network, @pool, @images, @now, @ids, @places, @result)`)
        .run({ ...key, now: Date.now(), ids: toBlob(ids), places: toBlob(places), result: JSON.stringify(result) });
      this.#parts.delete(key.run_id);
    });
  }

  /** Null where there is none of these images. */
  get(key: MapKey): StoredMap | null {
    const row = this.#db
      .prepare(`SELECT created_at, ids, places, result FROM feature_maps WHERE ${WHERE} AND images = @images`)
      .get(key) as { created_at: number; ids: Buffer; places: Buffer; result: string } | undefined;
    if (!row) return null;
    const { created_at, ids, places, result } = row;
    return {
      created_at,
      ids: integersOf(ids),
      places: floatsOf(places),
      result: resultIn({ ...key, result }),
    };
  }

  /** What is wrong with those that cannot be read. */
  unreadable(): Generator<RowError> {
    const rows = this.#db.prepare('SELECT run_id, dataset_id, result FROM feature_maps').iterate();
    return errorsOf(rows as Iterable<Parameters<typeof resultIn>[0]>, resultIn);
  }

  /** Keeps features of a map that is being made, from its image `start` on. */
  savePart(key: MapKey, start: number, features: Float32Array): void {
    write(this.#db, () => this.#parts.save(key.run_id, JSON.stringify(key), { start, features }));
  }

  /** What was kept, in order. */
  parts(key: MapKey): FeaturePart[] {
    return this.#parts.list(key.run_id, JSON.stringify(key));
  }
}
