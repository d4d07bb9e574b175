import { AppError } from '../../shared/errors.ts';
import type { PreparedImage, PreparedSet } from '../../shared/prepared.ts';
import type { FileLock } from './file-lock.ts';
import { Holds } from './holds.ts';
import { type Db, write } from './open.ts';

/** Rows whose image is usable and as it was when it was prepared. */
const LIVE = `prepared_images p JOIN images i ON i.id = p.image_id AND i.status = 'ok' AND i.hash = p.hash`;
const SELECT = `
  SELECT *, (SELECT count(*) FROM images i WHERE i.dataset_id = s.dataset_id AND i.status = 'ok') - images AS missing
  FROM (SELECT *, (SELECT count(*) FROM ${LIVE} WHERE p.set_id = prepared_sets.id) AS images FROM prepared_sets) s`;

/** A process that writes to a set. */
export interface SetOwner {
  id: number;
  pid: number;
}

/** Sets of prepared images, and where each image lies. Their files are not the store's. */
export class Prepared {
  readonly #db: Db;
  readonly #holds: Holds;

  constructor(db: Db) {
    this.#db = db;
    this.#holds = new Holds(db);
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

  /**
   * Makes a process the owner, which alone may write, until it releases the lock or ends. Its file is then continued by the
   * next owner: a process that has ended writes no more.
   * @returns null while another has it
   */
  claim(id: number, pid: number): FileLock | null {
    return write(this.#db, () => {
      const lock = this.#holds.take('prepared', id);
      if (lock)
        this.#db.prepare('UPDATE prepared_sets SET pid = ?, heartbeat = ? WHERE id = ?').run(pid, Date.now(), id);
      return lock;
    });
  }

  /** Says that the owner is about to write. @throws AppError as `add`: then it must not */
  beat(owner: SetOwner): void {
    write(this.#db, () => this.#own(owner));
  }

  release(id: number, pid: number): void {
    write(this.#db, () =>
      this.#db.prepare('UPDATE prepared_sets SET pid = NULL WHERE id = ? AND pid = ?').run(id, pid),
    );
  }

  /**
   * Enters images whose pixels are on the disk, and how far the file that is written to is whole.
   * @throws AppError not-found where the set was deleted meanwhile, conflict where another process has it
   */
  add(owner: SetOwner, images: readonly PreparedImage[], { file, end }: Pick<PreparedSet, 'file' | 'end'>): void {
    const add = this.#db.prepare(`
      INSERT OR REPLACE INTO prepared_images VALUES (@id, @image_id, @file, @start, @width, @height, @hash, @crc32)`);
    const mark = this.#db.prepare('UPDATE prepared_sets SET file = ?, end = ? WHERE id = ?');
    write(this.#db, () => {
      this.#own(owner);
      mark.run(file, end, owner.id);
      for (const image of images) add.run({ ...image, id: owner.id });
    });
  }

  /** Checks, within the caller's transaction, that this process is still the owner, and renews its heartbeat. */
  #own({ id, pid }: SetOwner): void {
    const mark = this.#db.prepare('UPDATE prepared_sets SET heartbeat = ? WHERE id = ? AND pid = ?');
    if (mark.run(Date.now(), id, pid).changes > 0) return;
    const other = this.get(id).pid;
    throw new AppError(
      'conflict',
      'This process may not prepare these images.',
      other === null ? 'It has given them up.' : `Process ${other} prepares them.`,
      'Prepare again: it goes on with what is there.',
    );
  }

  /** Images that are as they were when they were prepared. */
  images(id: number): PreparedImage[] {
    return this.#db
      .prepare(`SELECT image_id, file, start, p.width, p.height, p.hash, p.crc32 FROM ${LIVE} WHERE set_id = ?`)
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

  /** Forgets what lies in a file. @throws AppError as `add` */
  dropFile(owner: SetOwner, file: number): void {
    write(this.#db, () => {
      this.#own(owner);
      this.#db.prepare('DELETE FROM prepared_images WHERE set_id = ? AND file = ?').run(owner.id, file);
    });
  }

  /** Forgets images whose pixels are not what they were: they are prepared again. @throws AppError as `add` */
  dropImages(owner: SetOwner, images: readonly number[]): void {
    const drop = this.#db.prepare('DELETE FROM prepared_images WHERE set_id = ? AND image_id = ?');
    write(this.#db, () => {
      this.#own(owner);
      for (const image of images) drop.run(owner.id, image);
    });
  }

  /** @throws AppError as `add` */
  delete(owner: SetOwner): void {
    write(this.#db, () => {
      this.#own(owner);
      this.#db.prepare('DELETE FROM prepared_sets WHERE id = ?').run(owner.id);
    });
  }
}
