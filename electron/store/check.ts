import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { Findings } from '../../shared/contract/machine.ts';
import { AppError } from '../../shared/errors.ts';
import { writeWhole } from '../files/files.ts';
import { codeOf, explain, isDamage } from './open.ts';

/** Lines of SQLite's findings that are kept; a destroyed page makes hundreds. */
const KEPT_FINDINGS = 10;

/** Beside a database that is to be checked (no content), or in which damage was found. */
const noteOf = (database: string) => `${database}.check`;

/**
 * Whether a database was not closed properly, and nobody has it open now. The last process to close one removes its
 * write-ahead log, so a log that is still there tells of a crash. Call it before opening.
 */
export function endedUncleanly(database: string): boolean {
  if ((statSync(`${database}-wal`, { throwIfNoEntry: false })?.size ?? 0) === 0) return false;
  let db: Database.Database | null = null;
  try {
    db = new Database(database, { timeout: 0, fileMustExist: true });
    db.pragma('locking_mode = EXCLUSIVE'); // refused while another process has it
    db.prepare('SELECT count(*) FROM sqlite_schema').get();
    return true;
  } catch (error) {
    return isDamage(error);
  } finally {
    db?.close();
  }
}

/**
 * Checks the structure of the whole database, at about 5 GB/s where it is cached in memory, else at the speed of its disk.
 * @throws AppError where it cannot be read
 */
export function quickCheck(database: string): Findings {
  let problems: string[];
  try {
    const db = new Database(database, { readonly: true, fileMustExist: true });
    try {
      const found = db.pragma(`quick_check(${KEPT_FINDINGS})`) as { quick_check: string }[];
      problems = found.map(({ quick_check }) => quick_check).filter((line) => line !== 'ok');
    } finally {
      db.close();
    }
  } catch (error) {
    if (!isDamage(error)) throw explain(error, database);
    problems = [`${(error as Error).message} (${codeOf(error)})`];
  }
  return { at: Date.now(), problems };
}

/** Remembers that a check is due, or what one found, until a later one finds nothing. */
export function noteFindings(database: string, findings: Findings | 'due'): void {
  const note = noteOf(database);
  try {
    if (findings !== 'due' && findings.problems.length === 0) rmSync(note, { force: true });
    else writeWhole(note, [Buffer.from(findings === 'due' ? '' : JSON.stringify(findings))]);
  } catch (error) {
    throw explain(error, database);
  }
}

/** What the last check found; 'due' where one was begun and not ended, null where nothing is known. */
export function notedFindings(database: string): Findings | 'due' | null {
  const note = noteOf(database);
  if (!existsSync(note)) return null;
  try {
    const { at, problems } = JSON.parse(readFileSync(note, 'utf8')) as Findings;
    return { at: Number(at), problems: problems.map(String) };
  } catch {
    return 'due';
  }
}

/** The words for damage that a check found. */
export const damageError = (database: string, { problems }: Findings): AppError =>
  new AppError(
    'bad-file',
    `The database ${database} is damaged.`,
    `A check of its structure found: ${problems.slice(0, 3).join('; ')}${problems.length > 3 ? ' …' : ''}.`,
    'Export what can still be read. Then restore the database from a copy, or name another home folder; `conmim doctor` checks it again.',
  );

/**
 * To be called before a database is opened: where it was not closed, it is checked now.
 * @param say is told that it is checked, with its bytes
 * @returns the damage that is known of it
 */
export function checkBeforeOpening(database: string, say: (bytes: number) => void): AppError | null {
  if (isCheckDue(database)) {
    say(statSync(database).size);
    noteFindings(database, quickCheck(database));
  }
  const noted = notedFindings(database);
  return noted !== null && noted !== 'due' ? damageError(database, noted) : null;
}

/** Whether a database must be checked before use. The answer is kept in a file until a check has been made. */
export function isCheckDue(database: string): boolean {
  if (!existsSync(database)) return false;
  if (notedFindings(database) === 'due') return true;
  if (!endedUncleanly(database)) return false;
  noteFindings(database, 'due');
  return true;
}
