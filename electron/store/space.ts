import { BUSY_TIMEOUT, codeOf, type Db } from './open.ts';

/** Pages of one step of giving space back, so that other processes' writes come in between. */
const PAGES_AT_ONCE = 2048;

/**
 * Gives pages that deleted rows left back to the disk, and empties the write-ahead log.
 * @param keepBytes free pages that may stay because they will be used again soon
 * @returns bytes by which the database became smaller
 */
export function giveBack(db: Db, keepBytes = 0): number {
  const number = (pragma: string) => Number(db.pragma(pragma, { simple: true }));
  const pageBytes = number('page_size');
  const before = number('page_count');
  const keepPages = Math.ceil(keepBytes / pageBytes);
  let step = PAGES_AT_ONCE;
  for (let free = number('freelist_count'); free > keepPages; ) {
    try {
      db.pragma(`incremental_vacuum(${Math.min(step, free - keepPages)})`);
    } catch (error) {
      // On a full disk the log of a smaller step may still fit. If not, the next deletion tries again.
      if (!isNoRoom(error)) throw error;
      if (step === 1) break;
      step = Math.ceil(step / 8);
      emptyLog(db);
      continue;
    }
    const left = number('freelist_count');
    if (left >= free) break;
    free = left;
  }
  const after = number('page_count');
  emptyLog(db);
  return Math.max(0, before - after) * pageBytes;
}

/** A disk without room fails as FULL, or where the log or its index is made longer. */
const isNoRoom = (error: unknown): boolean => /FULL|IOERR_(WRITE|SHMSIZE|TRUNCATE)/.test(codeOf(error));

/** Empties the log if nobody is reading; otherwise a later commit does it. */
function emptyLog(db: Db): void {
  db.pragma('busy_timeout = 1000');
  try {
    db.pragma('wal_checkpoint(TRUNCATE)');
  } catch (error) {
    // What was deleted is deleted, and the log is emptied by a later commit.
    if (!isNoRoom(error)) throw error;
  }
  db.pragma(`busy_timeout = ${BUSY_TIMEOUT}`);
}
