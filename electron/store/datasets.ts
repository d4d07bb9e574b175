import { type Dataset, foldersSchema } from '../../shared/dataset.ts';
import { AppError } from '../../shared/errors.ts';
import { named } from '../../shared/named.ts';
import { type NotImported, notImportedSchema } from '../../shared/not-imported.ts';
import { errorsOf, fromJson, fromNullable, type RowError } from './json.ts';
import { changedElsewhere, requireFreeName, resolveId } from './names.ts';
import { Needs } from './needs.ts';
import { type Db, write } from './open.ts';

type Row = Omit<Dataset, 'folders' | 'left_out'> & { folders: string; left_out: string | null };

const SELECT = `
  SELECT d.*,
    (SELECT count(*) FROM images i WHERE i.dataset_id = d.id AND i.status = 'ok') AS image_count,
    (SELECT count(*) FROM images i WHERE i.dataset_id = d.id AND i.status = 'skipped') AS skipped_count
  FROM datasets d`;

function toDataset(kept: Row): Dataset {
  const row = `dataset ${kept.id} "${kept.name}"`;
  return {
    ...kept,
    folders: fromJson(foldersSchema, kept.folders, { row, column: 'datasets.folders' }),
    left_out: fromNullable(notImportedSchema, kept.left_out, { row, column: 'datasets.left_out' }),
  };
}

export class Datasets {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** @throws AppError conflict where the name is taken, bad-input where it is a number or empty */
  create({ name: given, folders, labels }: Pick<Dataset, 'name' | 'folders' | 'labels'>): Dataset {
    return write(this.#db, () => {
      const name = requireFreeName(this.#db, 'dataset', given);
      const { lastInsertRowid } = this.#db
        .prepare('INSERT INTO datasets (name, folders, labels, created_at) VALUES (?, ?, ?, ?)')
        .run(name, JSON.stringify(folders), labels, Date.now());
      return this.get(Number(lastInsertRowid));
    });
  }

  /** @throws AppError conflict where the name is taken, bad-input where nothing can be called so */
  requireFreeName(name: string): string {
    return requireFreeName(this.#db, 'dataset', name);
  }

  /** By id, digits of an id, or name. @throws AppError not-found, with near names */
  get(idOrName: number | string): Dataset {
    const id = resolveId(this.#db, 'dataset', idOrName);
    return toDataset(this.#db.prepare(`${SELECT} WHERE d.id = ?`).get(id) as Row);
  }

  /** By exact name. */
  find(name: string): Dataset | null {
    const row = this.#db.prepare(`${SELECT} WHERE d.name = ?`).get(name) as Row | undefined;
    return row ? toDataset(row) : null;
  }

  list(): Dataset[] {
    return (this.#db.prepare(`${SELECT} ORDER BY d.id`).all() as Row[]).map(toDataset);
  }

  /** What is wrong with those that cannot be read. */
  unreadable(): Generator<RowError> {
    return errorsOf(this.#db.prepare(`${SELECT} ORDER BY d.id`).all() as Row[], toDataset);
  }

  /** By id. */
  names(): Map<number, string> {
    return new Map(this.#db.prepare('SELECT id, name FROM datasets').raw().all() as [number, string][]);
  }

  /** @throws AppError conflict where the name is taken; changed where it is not `before` any more */
  rename(id: number, name: string, before?: string): Dataset {
    return write(this.#db, () => {
      const { name: now } = this.get(id);
      if (before !== undefined && before !== now && name !== now)
        throw changedElsewhere(`The name of dataset "${now}"`);
      if (now !== name) {
        const free = requireFreeName(this.#db, 'dataset', name);
        this.#db.prepare('UPDATE datasets SET name = ? WHERE id = ?').run(free, id);
      }
      return this.get(id);
    });
  }

  /** Records that one of its folders has moved. */
  moveFolder(id: number, from: string, to: string): Dataset {
    return write(this.#db, () => {
      const folders = this.get(id).folders.map((folder) => (folder === from ? to : folder));
      this.#db.prepare('UPDATE datasets SET folders = ? WHERE id = ?').run(JSON.stringify(folders), id);
      return this.get(id);
    });
  }

  /** Runs that learned from a dataset. */
  runs(id: number): number[] {
    return this.#db.prepare('SELECT id FROM runs WHERE dataset_id = ? ORDER BY id').pluck().all(id) as number[];
  }

  /** Forgets a dataset; its files are untouched. @throws AppError conflict while runs belong to it */
  delete(id: number): void {
    write(this.#db, () => {
      const { name } = this.get(id);
      const runs = this.runs(id);
      if (runs.length > 0) {
        const names = this.#db.prepare('SELECT name FROM runs WHERE dataset_id = ? ORDER BY id').pluck().all(id);
        const why = `${runs.length === 1 ? 'Run' : 'Runs'} ${named(names as string[])} learned from it.`;
        throw new AppError('conflict', `Dataset "${name}" is in use.`, why, 'Delete these runs first.');
      }
      new Needs(this.#db).refuseDataset(id, name);
      this.#db.prepare('DELETE FROM datasets WHERE id = ?').run(id);
    });
  }

  /** Notes that a scan of its folders was completed now, and what it left out. */
  markScanned(id: number, leftOut: NotImported | null = null): void {
    write(this.#db, () =>
      this.#db
        .prepare('UPDATE datasets SET scanned_at = ?, left_out = ? WHERE id = ?')
        .run(Date.now(), leftOut && JSON.stringify(leftOut), id),
    );
  }
}
