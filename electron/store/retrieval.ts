import type { ImageRow } from '../../shared/dataset.ts';
import { AppError } from '../../shared/errors.ts';
import type { RetrievalIndex, RetrievalSpec } from '../../shared/retrieval.ts';
import type { FileLock } from './file-lock.ts';
import { Holds } from './holds.ts';
import { type Db, write } from './open.ts';

const SELECT = `
  SELECT *, (SELECT count(*) FROM retrieval_images WHERE index_id = retrieval_indexes.id) AS images
  FROM retrieval_indexes`;

/** An image in its slot, as it is now; `ok` is 0 where the file has changed or gone since. */
export type SlotRow = Pick<ImageRow, 'id' | 'folder' | 'path' | 'label' | 'hash'> & { slot: number; ok: 0 | 1 };

type IndexRow = Omit<RetrievalIndex, 'is_ready'> & { is_ready: 0 | 1 };
const asIndex = (row: IndexRow): RetrievalIndex => ({ ...row, is_ready: row.is_ready === 1 });

/** Indexes of patch features, and the images in them. Their files are not the store's. */
export class Retrieval {
  readonly #db: Db;
  readonly #holds: Holds;

  constructor(db: Db) {
    this.#db = db;
    this.#holds = new Holds(db);
  }

  /** Takes an index for the process that builds it. @returns null while another has it */
  take(id: number): FileLock | null {
    return this.#holds.take('index', id);
  }

  list(): RetrievalIndex[] {
    return (this.#db.prepare(`${SELECT} ORDER BY id`).all() as IndexRow[]).map(asIndex);
  }

  /** @throws AppError not-found */
  get(id: number): RetrievalIndex {
    const row = this.#db.prepare(`${SELECT} WHERE id = ?`).get(id) as IndexRow | undefined;
    if (!row) throw new AppError('not-found', `There is no index ${id}.`, '', 'Its checkpoint may have been deleted.');
    return asIndex(row);
  }

  find(spec: RetrievalSpec): RetrievalIndex | null {
    const row = this.#db
      .prepare(`
        ${SELECT} WHERE checkpoint_id = @checkpoint_id AND dataset_id = @dataset_id AND part = @part
          AND feature = @feature AND max_images = @max_images`)
      .get(spec) as IndexRow | undefined;
    return row ? asIndex(row) : null;
  }

  /** The index of this kind, new where there was none. */
  ensure(spec: RetrievalSpec): RetrievalIndex {
    write(this.#db, () =>
      this.#db
        .prepare(`
          INSERT INTO retrieval_indexes (checkpoint_id, dataset_id, part, feature, max_images, created_at)
          VALUES (@checkpoint_id, @dataset_id, @part, @feature, @max_images, @now) ON CONFLICT DO NOTHING`)
        .run({ ...spec, now: Date.now() }),
    );
    return this.find(spec)!;
  }

  setReady(id: number, isReady: boolean): void {
    write(this.#db, () =>
      this.#db.prepare('UPDATE retrieval_indexes SET is_ready = ? WHERE id = ?').run(isReady ? 1 : 0, id),
    );
  }

  /** Puts images into the slots from `first` on. */
  addImages(id: number, first: number, images: { id: number; hash: string }[]): void {
    const add = this.#db.prepare('INSERT INTO retrieval_images VALUES (?, ?, ?, ?)');
    write(this.#db, () => {
      images.forEach((image, i) => {
        add.run(id, first + i, image.id, image.hash);
      });
    });
  }

  /** Forgets which images are in it: it is built anew. */
  clearImages(id: number): void {
    write(this.#db, () => this.#db.prepare('DELETE FROM retrieval_images WHERE index_id = ?').run(id));
  }

  /** By slot. An image that has left the database has no row. */
  slots(id: number): SlotRow[] {
    return this.#db
      .prepare(`
        SELECT slot, images.id, folder, path, label, images.hash,
          status = 'ok' AND images.hash = retrieval_images.hash AS ok
        FROM retrieval_images JOIN images ON images.id = image_id WHERE index_id = ? ORDER BY slot`)
      .all(id) as SlotRow[];
  }

  delete(id: number): void {
    write(this.#db, () => this.#db.prepare('DELETE FROM retrieval_indexes WHERE id = ?').run(id));
  }
}
