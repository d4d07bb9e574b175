import type { PreparedImage, PreparedSet } from '../../shared/domain.ts';
import { AppError } from '../../shared/errors.ts';
import { type Db, write } from './open.ts';

/** Rows whose image is usable and as it was when it was prepared. */
const LIVE = `prepared_images p JOIN images i ON i.id = p.image_id AND i.status = 'ok' AND i.hash = p.hash`;
const SELECT = `
  SELECT *, (SELECT count(*) FROM images i WHERE i.dataset_id = s.dataset_id AND i.status = 'ok') - images AS missing
  FROM (SELECT *, (SELECT count(*) FROM ${LIVE} WHERE p.set_id = prepared_sets.id) AS images FROM prepared_sets) s`;

/** Who has not written for so long, ms, writes no more: its number may be another process's by now. */
const STALE = 600_000;

/** Sets of prepared images, and where each image lies. Their files are not the store's. */
export class Prepared {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  list(): PreparedSet[] {
    return this.#db.prepare(`${SELECT} ORDER BY id`).all() as PreparedSet[];
  }

  /** @throws AppError not-found */
  get(id: number): PreparedSet {
    const set = this.#db.prepare(`${SELECT} WHERE id = ?`).get(id) as PreparedSet | undefined;
    if (!set)
      throw new AppError('not-found', `There is no prepared set ${id}.`, '', 'Its dataset may have been deleted.');
    return set;
  }

  find(datasetId: number, size: number): PreparedSet | null {
    const where = `${SELECT} WHERE dataset_id = ? AND size = ?`;
    return (this.#db.prepare(where).get(datasetId, size) as PreparedSet | undefined) ?? null;
  }

  /** The set of this size, new where there was none. */
  ensure(datasetId: number, size: number): PreparedSet {
    write(this.#db, () =>
      this.#db
        .prepare('INSERT INTO prepared_sets (dataset_id, size, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING')
        .run(datasetId, size, Date.now()),
    );
    return this.find(datasetId, size)!;
  }

  /** Makes a process the one that writes. @returns false where another does that `isAlive` */
  claim(id: number, pid: number, isAlive: (pid: number) => boolean): boolean {
    return write(this.#db, () => {
      const owner = this.#db
        .prepare('SELECT pid FROM prepared_sets WHERE id = ? AND pid <> ? AND heartbeat > ?')
        .pluck()
        .get(id, pid, Date.now() - STALE) as number | undefined;
      if (owner !== undefined && isAlive(owner)) return false;
      this.#db.prepare('UPDATE prepared_sets SET pid = ?, heartbeat = ? WHERE id = ?').run(pid, Date.now(), id);
      return true;
    });
  }

  release(id: number, pid: number): void {
    write(this.#db, () =>
      this.#db.prepare('UPDATE prepared_sets SET pid = NULL WHERE id = ? AND pid = ?').run(id, pid),
    );
  }

  /**
   * Enters images whose pixels are on the disk, and how far the file that is written to is whole.
   * @throws AppError not-found where the set was deleted meanwhile, conflict where another process writes to it
   */
  add(
    { id, pid }: { id: number; pid: number },
    images: readonly PreparedImage[],
    { file, end }: Pick<PreparedSet, 'file' | 'end'>,
  ): void {
    const add = this.#db.prepare(`
      INSERT OR REPLACE INTO prepared_images VALUES (@id, @image_id, @file, @start, @width, @height, @hash)`);
    const mark = this.#db.prepare('UPDATE prepared_sets SET file = ?, end = ?, heartbeat = ? WHERE id = ? AND pid = ?');
    write(this.#db, () => {
      if (mark.run(file, end, Date.now(), id, pid).changes === 0) {
        this.get(id);
        throw new AppError('conflict', 'Another process prepares the same images.', '', 'Let it end, then go on.');
      }
      for (const image of images) add.run({ ...image, id });
    });
  }

  /** Images that are as they were when they were prepared. */
  images(id: number): PreparedImage[] {
    return this.#db
      .prepare(`SELECT image_id, file, start, p.width, p.height, p.hash FROM ${LIVE} WHERE set_id = ?`)
      .all(id) as PreparedImage[];
  }

  /** Sizes of the usable images that a set lacks, or all of a dataset's where there is no set, with how many have each. */
  missingSizes(datasetId: number, id: number | null): { width: number; height: number; count: number }[] {
    return this.#db
      .prepare(`
        SELECT i.width, i.height, count(*) AS count FROM images i
        LEFT JOIN prepared_images p ON p.set_id = @id AND p.image_id = i.id AND p.hash = i.hash
        WHERE i.dataset_id = @datasetId AND i.status = 'ok' AND p.image_id IS NULL GROUP BY i.width, i.height`)
      .all({ datasetId, id }) as { width: number; height: number; count: number }[];
  }

  /** How many usable images were prepared, and have changed since. */
  changed(id: number): number {
    return this.#db
      .prepare(`
        SELECT count(*) FROM prepared_images p
        JOIN images i ON i.id = p.image_id AND i.status = 'ok' AND i.hash <> p.hash WHERE set_id = ?`)
      .pluck()
      .get(id) as number;
  }

  /** Forgets what lies in a file. */
  dropFile(id: number, file: number): void {
    write(this.#db, () => this.#db.prepare('DELETE FROM prepared_images WHERE set_id = ? AND file = ?').run(id, file));
  }

  delete(id: number): void {
    write(this.#db, () => this.#db.prepare('DELETE FROM prepared_sets WHERE id = ?').run(id));
  }
}
