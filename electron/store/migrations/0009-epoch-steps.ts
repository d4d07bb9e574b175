import type { Database } from 'better-sqlite3';

/**
 * Steps of an epoch as they are. An epoch is every image once, which is seldom a whole number of steps; `steps_per_epoch`
 * keeps the nearest whole one. Null for runs that are there, which were trained by whole numbers.
 */
export function epochSteps(db: Database): void {
  db.exec('ALTER TABLE runs ADD COLUMN epoch_steps REAL');
}
