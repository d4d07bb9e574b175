import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { AppError } from '../../shared/errors.ts';
import { MIGRATIONS } from './migrations/index.ts';

export type Db = Database.Database;

/** "CnMM": marks a file as this program's. */
export const APPLICATION_ID = 0x436e4d4d;
/** How long a write waits for another process's, ms. A checkpoint of a large model takes seconds to write. */
export const BUSY_TIMEOUT = 60_000;
const PAGE_BYTES = 16_384;
/** A write-ahead log that a large checkpoint left behind is cut to this, bytes. */
const LOG_BYTES = 64 * 2 ** 20;

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
    if (!existsSync(dirname(path))) mkdirSync(dirname(path), { recursive: true });
    const opened = new Database(path, { timeout: BUSY_TIMEOUT });
    db = opened;
    retryBusy(() => prepare(opened, path));
    return opened;
  } catch (error) {
    db?.close();
    throw explain(error, path);
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
  const version = Number(db.pragma('user_version', { simple: true }));
  const id = Number(db.pragma('application_id', { simple: true }));
  if (id === APPLICATION_ID) {
    if (version <= MIGRATIONS.length) return false;
    throw new AppError(
      'newer-format',
      `${path} was written by a newer version of ConMIM Workbench.`,
      `Its format is ${version}; this version reads up to ${MIGRATIONS.length}.`,
      'Update the program, or name another home folder.',
    );
  }
  const tables = Number(db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get());
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
      MIGRATIONS[version - 1]!(db);
      db.pragma(`application_id = ${APPLICATION_ID}`);
      db.pragma(`user_version = ${version}`);
    }).immediate();
  }
}

/** Turning the log on does not wait for others by itself. */
function retryBusy(act: () => void): void {
  const until = Date.now() + BUSY_TIMEOUT;
  for (;;) {
    try {
      act();
      return;
    } catch (error) {
      if (!isSqlite(error) || !error.code.startsWith('SQLITE_BUSY') || Date.now() > until) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}

const isSqlite = (error: unknown): error is Error & { code: string } => error instanceof Database.SqliteError;

/** SQLite's and the file system's words as an error for a person; anything else unchanged. */
export function explain(error: unknown, path: string): unknown {
  if (error instanceof AppError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const wrap = (kind: AppError['kind'], what: string, next: string) =>
    new AppError(kind, what, message, next, { cause: error });
  if (isSqlite(error)) {
    if (/NOTADB|CORRUPT/.test(error.code)) {
      return wrap(
        'bad-file',
        `${path} is not a database, or is damaged.`,
        'Restore it from a copy, or name another home folder.',
      );
    }
    if (/FULL/.test(error.code))
      return wrap('bad-file', `No room to write ${path}.`, 'Free disk space, or delete runs.');
    if (/CANTOPEN|READONLY|IOERR|PERM|AUTH/.test(error.code)) {
      return wrap('bad-file', `${path} cannot be read or written.`, 'Check its permissions and the disk.');
    }
    if (/BUSY|LOCKED/.test(error.code)) {
      return wrap('conflict', `${path} is being written by another process.`, 'Try again in a moment.');
    }
    return error;
  }
  if (
    ['EACCES', 'EPERM', 'ENOTDIR', 'EEXIST', 'EROFS', 'ENOSPC', 'ENAMETOOLONG'].includes(code ?? '') ||
    error instanceof TypeError
  ) {
    return wrap('bad-input', `${path} cannot be used for the database.`, 'Name another home folder.');
  }
  return error;
}

/** Runs `act` in a transaction that takes the write lock at once, so that it waits for other writers, never fails on them. */
export function write<T>(db: Db, act: () => T): T {
  try {
    return db.transaction(act).immediate();
  } catch (error) {
    throw explain(error, db.name);
  }
}
