import type { RunConfig } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import type { Run } from '../../../shared/run.ts';
import type { FileLock } from '../../store/file-lock.ts';
import type { RunHead } from '../../store/runs.ts';
import type { Store } from '../../store/store.ts';
import { startTrainer, type TrainerEnd, type TrainerHandle } from '../../trainer/host.ts';
import type { TrainerMessage } from '../../trainer/protocol.ts';
import { countImages, stepsPerEpoch, totalSteps } from '../../trainer/training-images.ts';
import { lend, type ToMake, withLenders } from '../recipes/lenders.ts';
import { requireMemory } from '../recipes/memory-need.ts';

export interface NewRun {
  dataset: string | number;
  config: RunConfig;
  preset: string | null;
  name?: string;
}

/** Puts a run in the store, ready to be started. @throws AppError not-found, bad-input */
export function createRun(store: Store, { dataset, config: asked, preset, name }: NewRun): Run {
  const { id, name: datasetName } = store.datasets.get(dataset);
  const config = withLenders(store, { id, name: datasetName }, asked);
  const images = countImages(store, store.datasets.get(id), config);
  if (images === 0) {
    throw new AppError(
      'bad-input',
      `Dataset "${datasetName}" has no image to train on.`,
      '',
      'Import a folder with images first, or lower data.holdout.',
    );
  }
  requireMemory(config);
  return store.runs.create({
    ...(name !== undefined && { name }),
    dataset_id: id,
    preset,
    config,
    total_steps: totalSteps(images, config),
    steps_per_epoch: stepsPerEpoch(images, config),
  });
}

const HIGHEST_SEED = 2 ** 32;
/** The same recipe with so many seeds, from its own on. */
export const withSeeds = (config: RunConfig, many: number): RunConfig[] =>
  Array.from({ length: many }, (_, i) => {
    const { train } = config;
    return { ...config, train: { ...train, seed: (train.seed + i) % HIGHEST_SEED } };
  });
/** What a run of several that differ in their seed is called. */
export const seedName = (base: string, { train }: RunConfig): string => `${base}, seed ${train.seed}`;

/**
 * Puts in the store what has to be trained before a run, where nothing is there that it could take over: a tokenizer, say. The
 * first is the first to be trained. @throws AppError as `createRun`
 */
export function createLenders(store: Store, { dataset, config }: Pick<NewRun, 'dataset' | 'config'>): Run[] {
  const { missing } = lend(store, store.datasets.get(dataset), config);
  return missing.map((one) => createRun(store, { dataset, ...asRun(store, one) }));
}

/** What has to be trained first, as a run. */
export const asRun = (store: Store, { config, preset, name }: ToMake): Omit<NewRun, 'dataset'> => ({
  config,
  preset,
  name: store.runs.freeName(name),
});

/** The same, for a trainer that the caller starts: nobody else sees the run before it is taken. */
export function createReserved(store: Store, run: NewRun): { run: Run; place: FileLock } {
  return store.atomically(() => {
    const made = createRun(store, run);
    return { run: made, place: store.runs.reserve(made.id) };
  });
}

/** Runs whose process is gone are marked so: they can be resumed. Call it before runs are shown or started. */
export function recoverLostRuns(store: Store): void {
  store.runs.recoverLost();
}

/**
 * Starts or resumes a run in a process of its own.
 * @param reserved where the caller has reserved it already
 * @throws AppError conflict where it runs, is being started or is finished
 */
export function startRun(
  store: Store,
  database: string,
  id: number,
  onMessage: (message: TrainerMessage) => void,
  reserved?: FileLock,
): TrainerHandle {
  recoverLostRuns(store);
  const place = reserved ?? store.runs.reserve(id);
  const handle = startTrainer(database, id, onMessage);
  // From now on the trainer's own lock says that it is trained.
  void handle.claimed.then((isClaimed) => isClaimed && place.remove());
  const ended = handle.ended.then((end): TrainerEnd => {
    place.remove();
    settle(store, id, end);
    return end;
  });
  return { ...handle, ended };
}

/** After its process is gone a run's row must not name that process, nor keep a request to it. */
function settle(store: Store, id: number, { status, error }: TrainerEnd): void {
  store.atomically(() => {
    const run = store.runs.head(id);
    const isOpen = run.status === 'running' || (run.status === 'queued' && run.queue_position === null);
    if (!isOpen || store.runs.isHeld(id)) return; // its trainer has written the end itself, or another one has the run by now
    const ended = status === 'failed' ? status : 'interrupted';
    store.runs.update(id, { status: ended, pid: null, request: null, error, ended_at: Date.now() });
  });
}

/** Puts a run at the end of the queue, to go on with it. @throws AppError conflict where it runs or is finished */
export function queueRun(store: Store, id: number): void {
  recoverLostRuns(store);
  store.atomically(() => {
    store.runs.reserve(id).remove(); // a run that may not be started may not be queued either
    store.runs.update(id, { error: null });
    store.queue.put({ kind: 'run', id });
  });
}

/** Asks the process that trains a run, whichever started it, to pause or stop after the step it is in. */
export function requestRun(store: Store, id: number, request: 'pause' | 'stop'): Run {
  recoverLostRuns(store);
  return store.atomically(() => {
    const { status } = store.runs.get(id);
    if (status === 'running') store.runs.update(id, { request });
    // One that waits leaves the queue; a trainer that is being started finds it so, and ends.
    else if (status === 'queued' || (request === 'stop' && STOPPABLE.has(status)))
      store.runs.update(id, { status: request === 'stop' ? 'stopped' : 'paused', ended_at: Date.now() });
    else
      throw new AppError(
        'conflict',
        `Run ${id} is ${status}, so it cannot be ${request === 'pause' ? 'paused' : 'stopped'}.`,
      );
    return store.runs.get(id);
  });
}

const STOPPABLE = new Set<Run['status']>(['paused', 'interrupted', 'stopped', 'failed']);

/** Waits until a run is no longer being trained, ms at most. */
export async function waitUntilIdle(store: Store, id: number, timeout: number, signal?: AbortSignal): Promise<Run> {
  const until = performance.now() + timeout;
  for (;;) {
    recoverLostRuns(store);
    const run = store.runs.get(id);
    if (run.status !== 'running' || performance.now() > until) return run;
    signal?.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/**
 * Before any run is deleted: refuses those that are being trained, or that waiting work needs.
 * @throws AppError not-found, conflict
 */
export function requireDeletable(store: Store, ids: readonly number[]): void {
  recoverLostRuns(store);
  for (const id of ids) requireIdle(store, id);
  store.needs.refuseRuns(ids);
}

/** Fine-tunings first, then the newest: they may need the others, which were there before them. */
export const inOrderOfDeletion = (runs: readonly RunHead[]): RunHead[] =>
  runs.toSorted((a, b) => Number(a.kind !== 'finetune') - Number(b.kind !== 'finetune') || b.id - a.id);

/** Deletes a run with all that it stored. @returns bytes given back to the disk */
export function deleteRun(store: Store, id: number): number {
  requireDeletable(store, [id]);
  return store.runs.delete(id);
}

function requireIdle(store: Store, id: number): void {
  const { status } = store.runs.head(id);
  if (status === 'running' || store.runs.isHeld(id)) {
    const what = status === 'running' ? 'running' : 'being started';
    throw new AppError('conflict', `Run ${id} is ${what}.`, '', `Stop it first: \`conmim stop ${id}\`.`);
  }
}
