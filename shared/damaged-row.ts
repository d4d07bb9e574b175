import type { ErrorReport } from './error-report.ts';

/** A run or bake-off that cannot be read from the database. The others can be all the same, and it can be deleted. */
export interface DamagedRow {
  id: number;
  name: string;
  /** What is wrong, in which column, and what to do. */
  error: ErrorReport;
}
