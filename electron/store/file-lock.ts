import { existsSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { makeFolder } from '../files/folders.ts';

export interface FileLock {
  /** Lets go of it; the file stays. */
  release(): void;
  /** Lets go of it, and removes the file. */
  remove(): void;
}

/** Looking at a lock takes it for a moment: how long to wait for such a look to be over, ms. */
const WAIT = 3000;

/**
 * Locks a file for one holder at a time; the file and its folder are created where they are missing. The system releases
 * the lock when the process ends, however it ends, so no lock is left behind. The file is an empty SQLite database, locked
 * by SQLite: nothing else in this process may open it (https://sqlite.org/howtocorrupt.html, 2.2).
 * @returns null while another holds it
 * @throws what SQLite or the file system say where the file cannot be made or locked
 */
export function lockFile(path: string): FileLock | null {
  if (isLocked(path)) return null;
  for (;;) {
    makeFolder(dirname(path));
    const before = identity(path);
    const db = open(path);
    if (db === null) continue;
    try {
      db.exec('BEGIN EXCLUSIVE'); // keeps off readers too, which is how `isLocked` sees it
    } catch (error) {
      db.close();
      if (codeOf(error).startsWith('SQLITE_BUSY')) return null;
      throw error;
    }
    // The holder before may have removed the file meanwhile: others would then lock a new file, and not see this lock.
    if (before !== null && identity(path) === before) {
      return { release: () => void db.close(), remove: () => remove(db, path) };
    }
    db.close();
  }
}

/** Whether somebody holds it: in this process, in another, or in another container, where process ids mean nothing. */
export function isLocked(path: string): boolean {
  if (!existsSync(path)) return false;
  let db: Database.Database | null = null;
  try {
    db = new Database(path, { readonly: true, timeout: 0 });
    // Reading takes a lock that any number may have at once: two that look do not take each other for a holder.
    db.prepare('SELECT count(*) FROM sqlite_schema').get();
    return false;
  } catch (error) {
    if (codeOf(error).startsWith('SQLITE_BUSY')) return true;
    if (!existsSync(path)) return false; // its holder has ended meanwhile
    throw error;
  } finally {
    db?.close();
  }
}

/** Null where the folder went with who held the lock. */
function open(path: string): Database.Database | null {
  try {
    return new Database(path, { timeout: WAIT });
  } catch (error) {
    if (existsSync(dirname(path))) throw error;
    return null;
  }
}

function remove(db: Database.Database, path: string): void {
  try {
    rmSync(path); // while it is held: nobody can take what is removed
    db.close();
  } catch {
    // Windows removes no file that is open, and so none that another has taken since.
    db.close();
    try {
      rmSync(path, { force: true });
    } catch {
      // another has it
    }
  }
}

/** Tells a file from another that takes its name; null where there is none. */
function identity(path: string): string | null {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat ? `${stat.ino} ${stat.birthtimeNs}` : null;
}

const codeOf = (error: unknown): string => (error as { code?: string }).code ?? '';
