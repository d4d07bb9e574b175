import { closeSync, openSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { AppError } from '../../shared/errors.ts';
import { bytes } from '../../shared/words.ts';
import { makeFolder } from '../files/folders.ts';
import { MIGRATIONS } from './migrations/index.ts';
import { keepPrivate } from './private-folder.ts';

export type Db = Database.Database;

/** "CnMM": marks a file as this program's. */
export const APPLICATION_ID = 0x436e4d4d;
/** How long a write waits for another process's, ms. A checkpoint of a large model takes seconds to write. */
export const BUSY_TIMEOUT = 60_000;
const PAGE_BYTES = 16_384;
/** A write-ahead log that a large checkpoint left behind is cut to this, bytes. */
const LOG_BYTES = 64 * 2 ** 20;
/** With less free on its disk, a database cannot even be opened: SQLite makes files beside it. Bytes. */
const LEAST_ROOM = 2 ** 20;

/** What SQLite says comes up in words, wherever it does: preparing a statement, reading, writing. */
class WordedDatabase extends Database {
  override prepare<B extends unknown[] | object = unknown[], R = unknown>(sql: string) {
    const statement = this.#worded(() => super.prepare<B, R>(sql));
    for (const name of ['run', 'get', 'all'] as const) {
      const act = (statement[name] as (...values: unknown[]) => unknown).bind(statement);
      Object.assign(statement, { [name]: (...values: unknown[]) => this.#worded(() => act(...values)) });
    }
    const iterate = statement.iterate.bind(statement) as (...values: unknown[]) => IterableIterator<R>;
    const path = this.name;
    return Object.assign(statement, {
      *iterate(...values: unknown[]) {
        try {
          yield* iterate(...values);
        } catch (error) {
          throw explain(error, path);
        }
      },
    }) as typeof statement;
  }

  override pragma(source: string, options?: Database.PragmaOptions): unknown {
    return this.#worded(() => super.pragma(source, options));
  }

  override exec(source: string): this {
    return this.#worded(() => super.exec(source));
  }

  #worded<T>(act: () => T): T {
    try {
      return act();
    } catch (error) {
      throw explain(error, this.name);
    }
  }
}

/**
 * Opens the database, made and brought to the newest format where needed.
 *
 * Durability: with the write-ahead log and `synchronous = NORMAL`, what is committed survives any crash or kill of the
 * program. A power cut may lose the last commits that are not yet synced, as a whole and never in part; a checkpoint is
 * synced when its `save` returns. The log needs shared memory, so the file must be on a local disk.
 * @throws AppError `newer-format`, `bad-file` for what is not this program's database, `bad-input` for a place that
 * cannot be used
 */
export function openDatabase(path: string): Db {
  let db: Db | undefined;
  try {
    makeFolder(dirname(path), 0o700);
    makeOwn(path);
    const opened: Db = new WordedDatabase(path, { timeout: BUSY_TIMEOUT });
    db = opened;
    retryBusy(() => prepare(opened, path));
    keepPrivate(path);
    return opened;
  } catch (error) {
    db?.close();
    throw explain(error, path);
  }
}

/** SQLite would let every user of the machine read what it makes. */
function makeOwn(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch {
    // It is there, or cannot be made: then opening it says why.
  }
}

function prepare(db: Db, path: string): void {
  const isNew = refuseForeign(db, path);
  if (isNew) {
    // Both are fixed by the first write, which the next pragma does.
    db.pragma(`page_size = ${PAGE_BYTES}`);
    db.pragma('auto_vacuum = INCREMENTAL');
  }
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = NORMAL');
  db.pragma('foreign_keys = ON');
  db.pragma(`journal_size_limit = ${LOG_BYTES}`);
  migrate(db);
}

/** Refuses what another program or a newer version wrote, before anything is changed. @returns whether it is empty */
function refuseForeign(db: Db, path: string): boolean {
  // In one transaction, as another process may be making its tables just now.
  const { version, id, tables } = db.transaction(() => ({
    version: Number(db.pragma('user_version', { simple: true })),
    id: Number(db.pragma('application_id', { simple: true })),
    tables: Number(db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get()),
  }))();
  if (id === APPLICATION_ID) {
    if (version <= MIGRATIONS.length) return false;
    throw new AppError(
      'newer-format',
      `${path} was written by a newer version of ConMIM Workbench.`,
      `Its format is ${version}; this version reads up to ${MIGRATIONS.length}.`,
      'Update the program, or name another home folder.',
    );
  }
  if (id === 0 && version === 0 && tables === 0) return true;
  throw new AppError('bad-file', `${path} is the database of another program.`, '', 'Name another home folder.');
}

/**
 * Applies the migrations that the file lacks, each in a transaction of its own. Other processes that open the file at
 * the same time wait, and then find them done.
 * @param target format to stop at, for tests
 */
export function migrate(db: Db, target = MIGRATIONS.length): void {
  const current = () => Number(db.pragma('user_version', { simple: true }));
  for (let version = current() + 1; version <= target; version++) {
    db.transaction(() => {
      if (current() >= version) return;
      try {
        MIGRATIONS[version - 1]!(db);
      } catch (error) {
        throw codeOf(error) === 'SQLITE_ERROR' ? notWhatItSays(db.name, version, error) : error;
      }
      db.pragma(`application_id = ${APPLICATION_ID}`);
      db.pragma(`user_version = ${version}`);
    }).immediate();
  }
}

/** The error for a database whose tables are not those of its format number. */
const notWhatItSays = (path: string, version: number, cause: unknown) =>
  new AppError(
    'bad-file',
    `${path} is damaged, or was written by a trial version.`,
    `Its format number is ${version - 1}, but its tables are not those of that format: ${(cause as Error).message}.`,
    'Restore it from a copy, or name another home folder with --home.',
    { cause },
  );

/** Turning the log on does not wait for others by itself. */
function retryBusy(act: () => void): void {
  const until = Date.now() + BUSY_TIMEOUT;
  for (;;) {
    try {
      act();
      return;
    } catch (error) {
      if (!codeOf(error).startsWith('SQLITE_BUSY') || Date.now() > until) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}

const isSqlite = (error: unknown): error is Error & { code: string } => error instanceof Database.SqliteError;

/** SQLite's code of an error, also of one that was explained; empty for any other. */
export function codeOf(error: unknown): string {
  const cause = error instanceof AppError ? error.cause : error;
  return isSqlite(cause) ? cause.code : '';
}

/** Whether an error says that what is stored is not as it was written. */
export const isDamage = (error: unknown): boolean => /NOTADB|CORRUPT/.test(codeOf(error));

/** SQLite's and the file system's words as an error for a person; anything else unchanged. */
export function explain(error: unknown, path: string): unknown {
  if (error instanceof AppError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const wrap = (kind: AppError['kind'], what: string, next: string, why = message) =>
    new AppError(kind, what, why, next, { cause: error });
  const full = () => {
    const home = dirname(path);
    const free = roomAt(home);
    return wrap(
      'bad-file',
      `There is no room on the disk of ${path}.`,
      `Free some megabytes on it: ${home} may hold thumbnails, indexes and prepared, which can be removed and are made ` +
        'again when they are needed. Then `conmim delete RUN` gives back what a run takes.',
      `${free === null ? '' : `${bytes(free)} are free. `}SQLite says: ${message}.`,
    );
  };
  if (isSqlite(error)) {
    if (/NOTADB/.test(error.code)) {
      return wrap(
        'bad-file',
        `${path} is not a database, or its beginning is damaged.`,
        'Restore it from a copy, or name another home folder with --home.',
      );
    }
    if (/CORRUPT/.test(error.code)) {
      return wrap(
        'bad-file',
        `${path} is damaged.`,
        '`conmim doctor` lists what is damaged. Restore it from a copy; before that, export what can still be read.',
      );
    }
    if (/malformed JSON/.test(message)) {
      return wrap(
        'bad-file',
        `${path} is damaged: a row of it cannot be read.`,
        'Restore the database from a copy. Before that, export what can still be read.',
      );
    }
    // A disk without room shows itself in several ways, as the files beside the database cannot be made either.
    if (/FULL/.test(error.code)) return full();
    if (/CANTOPEN|IOERR/.test(error.code) && (roomAt(dirname(path)) ?? LEAST_ROOM) < LEAST_ROOM) return full();
    if (/IOERR/.test(error.code)) {
      return wrap(
        'bad-file',
        `${path} cannot be read or written.`,
        'Check that its disk is connected and sound, and that its folder was not moved, and run the same command again.',
        `The system says: ${message} (${error.code.replace('SQLITE_', '')}).`,
      );
    }
    if (/CANTOPEN|READONLY|PERM|AUTH/.test(error.code)) {
      return wrap(
        'bad-file',
        `${path} cannot be read or written.`,
        'Check its permissions and those of its folder: you must be able to write to both.',
      );
    }
    if (/BUSY|LOCKED/.test(error.code)) {
      return wrap('conflict', `${path} is being written by another process.`, 'Try again in a moment.');
    }
    return error;
  }
  if (code === 'ENOSPC') return full();
  if (
    ['EACCES', 'EPERM', 'ENOENT', 'ENOTDIR', 'ELOOP', 'EINVAL', 'EEXIST', 'EROFS', 'ENAMETOOLONG'].includes(
      code ?? '',
    ) ||
    error instanceof TypeError
  ) {
    return wrap('bad-input', `${path} cannot be used for the database.`, 'Name another home folder.');
  }
  return error;
}

/** Bytes that are free where a folder is; null where that cannot be asked. */
function roomAt(folder: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return null;
  }
}

/** Runs `act` in a transaction that takes the write lock at once, so that it waits for other writers, never fails on them. */
export function write<T>(db: Db, act: () => T): T {
  try {
    return db.transaction(act).immediate();
  } catch (error) {
    throw explain(error, db.name);
  }
}
