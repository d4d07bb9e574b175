import type { RunRow } from '../../../shared/contract/runs.ts';
import { timeLeftAt } from '../../../shared/pace.ts';
import { call } from '../../api.ts';
import { go } from '../../state/router.svelte.ts';
import { attempt, deleteWithUndo, say } from '../../state/toasts.svelte.ts';

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
/** Opens what a run had learned at a step: its nearest checkpoint in Explore. Of one that cannot be explored, the run. */
export const openCheckpoint = (id: number, step: number) =>
  attempt(async () => {
    const { checkpoints, kind, name } = await call('runs.get', { id });
    const [nearest] = checkpoints.toSorted((a, b) => Math.abs(a.step - step) - Math.abs(b.step - step));
    if (nearest && kind !== 'finetune') return go('explore', { run: id, checkpoint: nearest.id });
    if (!nearest) say(`Run "${name}" has no checkpoint yet.`);
    return go(`runs/${id}`);
  });
/** @returns whether they are deleted */
export const remove = (ids: number[]): Promise<boolean | undefined> =>
  attempt(() => deleteWithUndo('runs.delete', { ids }));

/** Time that is left, ms, at the pace of the last steps; null where it cannot be said. */
export const timeLeft = (run: RunRow): number | null => (run.status === 'running' ? timeLeftAt(run.pace, run) : null);
