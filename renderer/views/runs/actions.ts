import type { RunRow } from '../../../shared/contract/runs.ts';
import { timeLeftAt } from '../../../shared/pace.ts';
import { call } from '../../api.ts';
import { attempt, deleteWithUndo } from '../../state/toasts.svelte.ts';

/** What can be done with a run in its state; one thing is the next one. */
export const canPause = (run: RunRow) =>
  run.status === 'running' || (run.status === 'queued' && run.queue_position !== null);
export const canStop = (run: RunRow) => canPause(run) || run.status === 'paused' || run.status === 'interrupted';
export const canResume = (run: RunRow) =>
  run.kind !== 'imported' &&
  run.queue_position === null &&
  ['queued', 'paused', 'interrupted', 'stopped', 'failed'].includes(run.status);

export const pause = (run: RunRow) => attempt(() => call('runs.pause', { id: run.id }));
export const stop = (run: RunRow) => attempt(() => call('runs.stop', { id: run.id }));
export const resume = (run: RunRow) => attempt(() => call('runs.resume', { id: run.id }));
/** @returns whether they are deleted */
export const remove = (ids: number[]): Promise<boolean | undefined> =>
  attempt(() => deleteWithUndo('runs.delete', { ids }));

/** Time that is left, ms, at the pace of the last steps; null where it cannot be said. */
export const timeLeft = (run: RunRow): number | null => (run.status === 'running' ? timeLeftAt(run.pace, run) : null);
