import type { ErrorReport } from '../errors.ts';
import type { Metric } from '../run.ts';
import type { Usage } from './machine.ts';
import type { RunRow } from './runs.ts';
import type { Task } from './tasks.ts';

export type AppEvent =
  | { type: 'task'; task: Task }
  | { type: 'task-gone'; id: string }
  /** A run is new or has changed. */
  | { type: 'run'; run: RunRow }
  /** Runs were deleted, restored or reordered: ask again. */
  | { type: 'runs' }
  | { type: 'metrics'; run: number; metrics: Metric[] }
  | { type: 'checkpoint'; run: number }
  | { type: 'datasets' }
  | { type: 'evaluations' }
  | { type: 'bakeoffs' }
  | { type: 'indexes' }
  | { type: 'prepared' }
  | { type: 'presets' }
  | { type: 'usage'; usage: Usage }
  | { type: 'notice'; text: string; run: number | null }
  /** A request of a window has failed after the window had stopped waiting for its answer. */
  | { type: 'failure'; error: ErrorReport }
  /** A command of the application menu. */
  | { type: 'menu'; action: string }
  /** Events were lost (the window slept for long): everything must be asked again. */
  | { type: 'resync' };

/** An event under its number: numbers rise by one, so that a window knows what it missed. */
export interface Numbered {
  seq: number;
  event: AppEvent;
}
