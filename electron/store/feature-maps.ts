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

export interface StoredMap<R = unknown> {
  created_at: number;
  ids: Int32Array;
  /** `[n, 2]` */
  places: Float32Array;
  result: R;
}

const WHERE = `run_id = @run_id AND coalesce(checkpoint_id, 0) = coalesce(@checkpoint_id, 0) AND dataset_id = @dataset_id
  AND network = @network AND pool = @pool`;
const bytes = ({ buffer, byteOffset, byteLength }: Int32Array | Float32Array) =>
  Buffer.from(buffer, byteOffset, byteLength);
/** A copy that is aligned. */
const words = (data: Buffer) => new Uint8Array(data).buffer;

/** Maps of datasets by features. */
export class FeatureMaps {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** In the place of an older one, and of the parts that it was made from. */
  save(key: MapKey, { ids, places, result }: Omit<StoredMap, 'created_at'>): void {
    write(this.#db, () => {
      this.#db.prepare(`DELETE FROM feature_maps WHERE ${WHERE}`).run(key);
      this.#db
        .prepare(`
          INSERT INTO feature_maps VALUES
          (@run_id, @checkpoint_id, @dataset_id, @network, @pool, @images, @now, @ids, @places, @result)`)
        .run({ ...key, now: Date.now(), ids: bytes(ids), places: bytes(places), result: JSON.stringify(result) });
      this.#db.prepare('DELETE FROM feature_parts WHERE run_id = ?').run(key.run_id);
    });
  }

  /** Null where there is none of these images. */
  get<R>(key: MapKey): StoredMap<R> | null {
    const row = this.#db
      .prepare(`SELECT created_at, ids, places, result FROM feature_maps WHERE ${WHERE} AND images = @images`)
      .get(key) as { created_at: number; ids: Buffer; places: Buffer; result: string } | undefined;
    return row
      ? {
          created_at: row.created_at,
          ids: new Int32Array(words(row.ids)),
          places: new Float32Array(words(row.places)),
          result: JSON.parse(row.result),
        }
      : null;
  }

  /** Keeps features of a map that is being made, from its image `start` on. */
  savePart(key: MapKey, start: number, features: Float32Array): void {
    write(this.#db, () =>
      this.#db
        .prepare('INSERT OR REPLACE INTO feature_parts VALUES (?, ?, ?, ?)')
        .run(key.run_id, JSON.stringify(key), start, bytes(features)),
    );
  }

  /** What was kept, in order. */
  parts(key: MapKey): { start: number; features: Float32Array }[] {
    const rows = this.#db
      .prepare('SELECT start, data FROM feature_parts WHERE run_id = ? AND key = ? ORDER BY start')
      .all(key.run_id, JSON.stringify(key)) as { start: number; data: Buffer }[];
    return rows.map(({ start, data }) => ({ start, features: new Float32Array(words(data)) }));
  }
}
