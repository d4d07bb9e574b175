import { BUSY_TIMEOUT, type Db } from './open.ts';

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
  for (let free = number('freelist_count'); free > keepPages; ) {
    db.pragma(`incremental_vacuum(${Math.min(PAGES_AT_ONCE, free - keepPages)})`);
    const left = number('freelist_count');
    if (left >= free) break;
    free = left;
  }
  const after = number('page_count');
  // The log is emptied only if nobody reads at the moment; a later commit does it otherwise.
  db.pragma('busy_timeout = 1000');
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.pragma(`busy_timeout = ${BUSY_TIMEOUT}`);
  return Math.max(0, before - after) * pageBytes;
}
