import type { RunConfig } from '../../shared/config.ts';
import type { Run } from '../../shared/domain.ts';
import { AppError } from '../../shared/errors.ts';
import type { Store } from '../store/store.ts';
import { startTrainer, type TrainerEnd, type TrainerHandle } from '../trainer/host.ts';
import type { TrainerMessage } from '../trainer/protocol.ts';
import { imagesOf, isHeldOut, stepsOf, stepsPerEpoch } from '../trainer/training-images.ts';
import { isAlive } from './processes.ts';

export interface NewRun {
  dataset: string | number;
  config: RunConfig;
  preset: string | null;
  name?: string;
}

/** Puts a run in the store, ready to be started. @throws AppError not-found, bad-input */
export function createRun(store: Store, { dataset, config, preset, name }: NewRun): Run {
  const { id, name: datasetName } = store.datasets.get(dataset);
  const images = imagesOf(store, store.datasets.get(id), (image) => !isHeldOut(image, config.data.holdout)).length;
  if (images === 0) {
    throw new AppError(
      'bad-input',
      `Dataset "${datasetName}" has no image to train on.`,
      '',
      'Import a folder with images first, or lower data.holdout.',
    );
  }
  const perEpoch = stepsPerEpoch(images, config);
  const total_steps = config.train.steps ?? stepsOf(config.train.epochs, perEpoch);
  return store.runs.create({
    ...(name !== undefined && { name }),
    dataset_id: id,
    preset,
    config,
    total_steps,
    steps_per_epoch: perEpoch,
  });
}

/** Runs whose process is gone are marked so: they can be resumed. Call it before runs are shown or started. */
export function reconcile(store: Store): void {
  for (const run of store.runs.list({ status: 'running' })) {
    if (run.pid === null || !isAlive(run.pid))
      store.runs.update(run.id, { status: 'interrupted', pid: null, request: null, ended_at: run.heartbeat });
  }
}

const RESUMABLE = new Set<Run['status']>(['queued', 'paused', 'interrupted', 'stopped', 'failed']);

/** Starts or resumes a run in a process of its own. @throws AppError conflict where it runs or is finished */
export function startRun(
  store: Store,
  database: string,
  id: number,
  onMessage: (message: TrainerMessage) => void,
): TrainerHandle {
  reconcile(store);
  const run = store.runs.get(id);
  if (!RESUMABLE.has(run.status)) {
    const next =
      run.status === 'running' ? `Pause it first: \`conmim pause ${id}\`.` : 'Start a new run to train longer.';
    throw new AppError('conflict', `Run ${id} is ${run.status}.`, '', next);
  }
  const handle = startTrainer(database, id, onMessage);
  // The row must not say 'running' for a process that is gone, nor its request outlive it.
  const ended = handle.ended.then((end): TrainerEnd => {
    if (end.status === 'interrupted') {
      store.runs.update(id, {
        status: 'interrupted',
        pid: null,
        request: null,
        error: end.error,
        ended_at: Date.now(),
      });
    }
    return end;
  });
  return { ...handle, ended };
}

/** Asks the process that trains a run, whichever started it, to pause or stop after the step it is in. */
export function requestRun(store: Store, id: number, request: 'pause' | 'stop'): Run {
  reconcile(store);
  const run = store.runs.get(id);
  if (run.status === 'running') store.runs.update(id, { request });
  else if (request === 'stop' && RESUMABLE.has(run.status))
    store.runs.update(id, { status: 'stopped', ended_at: Date.now() });
  else
    throw new AppError(
      'conflict',
      `Run ${id} is ${run.status}, so it cannot be ${request === 'pause' ? 'paused' : 'stopped'}.`,
    );
  return store.runs.get(id);
}

/** Waits until a run is no longer being trained, ms at most. */
export async function waitUntilIdle(store: Store, id: number, timeout: number): Promise<Run> {
  const until = Date.now() + timeout;
  for (;;) {
    reconcile(store);
    const run = store.runs.get(id);
    if (run.status !== 'running' || Date.now() > until) return run;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Deletes a run with all that it stored. @returns bytes given back to the disk */
export function deleteRun(store: Store, id: number): number {
  reconcile(store);
  const run = store.runs.get(id);
  if (run.status === 'running')
    throw new AppError('conflict', `Run ${id} is running.`, '', `Stop it first: \`conmim stop ${id}\`.`);
  return store.runs.delete(run.id);
}
