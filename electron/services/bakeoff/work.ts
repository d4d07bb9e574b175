import {
  type AskedBakeOff,
  type BakeOff,
  type BakeOffRun,
  type BakeOffTask,
  type EntryCost,
  needsClasses,
} from '../../../shared/bakeoff.ts';
import { AppError } from '../../../shared/errors.ts';
import type { Evaluation } from '../../../shared/evaluation.ts';
import type { Start } from '../../../shared/finetune.ts';
import { MOST_TAG } from '../../../shared/names.ts';
import type { QueueItem } from '../../../shared/queue.ts';
import type { Run } from '../../../shared/run.ts';
import { shortened } from '../../../shared/words.ts';
import type { RunHead } from '../../store/runs.ts';
import type { Store } from '../../store/store.ts';
import { queueEvaluation } from '../evaluation/evaluation.ts';
import type { EvaluateAsked } from '../ground/jobs.ts';
import { lendersOf } from '../recipes/lenders.ts';
import { createFineTunings } from '../runs/fine-tune.ts';
import { createLenders, createRun, queueRun } from '../runs/runs.ts';
import { configOfSeed, planBakeOff } from './plan.ts';

/** Neighbours of k-NN, as everywhere. */
const K_NEIGHBOURS = 20;
/** Runs of these states go on when they are queued. */
const HALTED = new Set<Run['status']>(['paused', 'interrupted', 'stopped', 'failed']);

/**
 * Puts a bake-off in the store, with its pretrainings, none of which is started yet.
 * @param costs as `measureBakeOff` gives them; a budget of minutes or of products needs them
 * @throws AppError as `planBakeOff`; bad-input where it was not measured; conflict for a name that is taken
 */
export function createBakeOff(store: Store, asked: AskedBakeOff, costs: readonly (EntryCost | null)[]): BakeOff {
  return store.atomically(() => {
    const plan = planBakeOff(store, asked, costs);
    if (plan.entries.some(({ steps }) => steps === null)) {
      const why = 'How many steps a budget of minutes or of products is depends on the method and on this machine.';
      throw new AppError('bad-input', 'The methods have not been measured yet.', why, 'Measure them first.');
    }
    // What they take over is a run of its own, made once: each names it from now on.
    const made = plan.entries.flatMap(({ config }) => createLenders(store, { dataset: asked.dataset, config }));
    const { id } = store.bakeOffs.create({ asked, plan: made.length > 0 ? planBakeOff(store, asked, costs) : plan });
    addMissing(store, store.bakeOffs.get(id));
    return store.bakeOffs.get(id);
  });
}

/** Makes the pretrainings that a bake-off has not, or has no more: a seed of every method first, then the next. */
export function addMissing(store: Store, { id, asked, plan, name, runs }: BakeOff): void {
  for (let seed = 0; seed < asked.seeds; seed++) {
    for (const [entry, { title, preset }] of plan.entries.entries()) {
      if (runs.some((run) => run.role === 'pretrain' && run.entry === entry && run.seed === seed)) continue;
      const run = createRun(store, {
        dataset: asked.dataset,
        config: configOfSeed(plan, entry, seed),
        preset,
        name: store.runs.freeName(`${name}: ${title}, seed ${seed}`),
      });
      tag(store, run.id, name);
      store.bakeOffs.addRun(id, { run_id: run.id, role: 'pretrain', entry, seed });
    }
  }
}

const tag = (store: Store, run: number, name: string) =>
  store.runs.update(run, { tags: [...new Set(['bake-off', shortened(name, MOST_TAG)])] });

/** Puts all that is left to do of a bake-off in the queue, also what failed or was deleted. @throws AppError not-found */
export function continueBakeOff(store: Store, id: number): void {
  store.atomically(() => {
    addMissing(store, store.bakeOffs.get(id));
    for (const lender of unfinishedLenders(store, store.bakeOffs.get(id))) putInQueue(store, lender);
    for (const link of store.bakeOffs.get(id).runs) {
      const run = store.runs.head(link.run_id);
      if (run.status !== 'finished') putInQueue(store, run);
      else if (link.role === 'pretrain') reopen(store, id, link);
    }
  });
  tendBakeOffs(store);
}

/** Runs that those of a bake-off take networks over from, and that have still to be trained: the first of them first. */
export function unfinishedLenders(store: Store, { plan }: BakeOff): Run[] {
  const configs = plan.entries.map(({ config }) => config);
  return lendersOf(store, ...configs).filter(({ status }) => status !== 'finished');
}

/** Puts a run in the queue that is new, or halted; one that waits there or is trained stays where it is. */
function putInQueue(store: Store, { id, status, queue_position }: RunHead): void {
  const isNew = status === 'queued' && queue_position === null && !store.runs.isHeld(id);
  if (isNew) store.queue.put({ kind: 'run', id });
  else if (HALTED.has(status)) queueRun(store, id);
}

/** What follows from a finished run is looked at again; what failed is forgotten, and tried once more. */
function reopen(store: Store, id: number, { run_id }: BakeOffRun): void {
  for (const one of store.queuedEvaluations.list())
    if (one.run_id === run_id && one.error !== null) store.queuedEvaluations.remove(one.id);
  store.bakeOffs.setTended(id, run_id, false);
}

/**
 * Puts in the queue what follows from pretrainings that have finished: their evaluations, and trainings with labels. Each
 * comes before what of the same bake-off waits, so that its table fills while it goes on. Whoever looks does it, and
 * once, also after the program was closed meanwhile.
 * @returns whether there was anything
 */
export function tendBakeOffs(store: Store): boolean {
  const open = store.bakeOffs.untended().filter(({ bake_off_id }) => !store.bakeOffs.isHeld(bake_off_id));
  for (const { bake_off_id, run_id } of open) {
    try {
      store.atomically(() => tend(store, bake_off_id, run_id));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      // It is said with the run, and is not tried again until somebody asks for it.
      sayUntended(store, run_id, error);
      store.bakeOffs.setTended(bake_off_id, run_id, true);
    }
  }
  return open.length > 0;
}

function tend(store: Store, id: number, run_id: number): void {
  const bakeOff = store.bakeOffs.get(id);
  const link = bakeOff.runs.find((run) => run.run_id === run_id);
  if (!link || link.is_tended) return; // another process was quicker
  const first = firstWaiting(store, bakeOff);
  for (const asked of evaluationsOf(store, bakeOff, link)) {
    const queued = queueEvaluation(store, { ...asked, k: K_NEIGHBOURS });
    store.queue.put({ kind: 'evaluation', id: queued.id }, first);
  }
  for (const run of addLabelled(store, bakeOff, link)) store.queue.put({ kind: 'run', id: run.id }, first);
  store.bakeOffs.setTended(id, run_id, true);
}

/** Keeps with a run why nothing follows from it in its bake-off. */
export function sayUntended(store: Store, run_id: number, { message, why }: AppError): void {
  const text = `Its bake-off asks nothing more of it: ${[message, why].filter(Boolean).join(' ')}`;
  store.notices.add(run_id, { key: text, step: store.runs.head(run_id).step, text });
}

/** What of a bake-off is to be started next. */
function firstWaiting(store: Store, { runs }: BakeOff): QueueItem | null {
  const ids = new Set(runs.map(({ run_id }) => run_id));
  const first = store.queue.order().find(({ kind, id }) => kind === 'run' && ids.has(id));
  return first ? { kind: first.kind, id: first.id } : null;
}

/** Evaluations that a finished pretraining of a bake-off still wants: neither made, nor in the queue. */
export function evaluationsOf(store: Store, bakeOff: BakeOff, { run_id }: BakeOffRun): EvaluateAsked[] {
  const { asked, dataset_id, test_dataset_id } = bakeOff;
  const checkpoint = store.checkpoints.latest(run_id);
  if (!checkpoint || dataset_id === null || (asked.test_dataset !== null && test_dataset_id === null)) return [];
  const waiting = store.queuedEvaluations.list();
  const missing = asked.tasks.filter(
    (task) =>
      !foundOf(store, bakeOff, run_id, task) &&
      !waiting.some((one) => one.run_id === run_id && one.task === task && one.dataset_id === dataset_id),
  );
  return missing.map((task) => ({
    checkpoint: checkpoint.id,
    dataset: dataset_id,
    task,
    official: null,
    k: K_NEIGHBOURS,
    ...(test_dataset_id !== null && { testDataset: test_dataset_id }),
    ...(asked.pixels && needsClasses(task) && !isAskedForPixels(store, bakeOff, task) && { pixels: true }),
  }));
}

/** Pixels are the same for every run: they are asked once. */
function isAskedForPixels(store: Store, bakeOff: BakeOff, task: BakeOffTask): boolean {
  const ids = new Set(bakeOff.runs.map(({ run_id }) => run_id));
  return (
    store.queuedEvaluations.list().some((one) => ids.has(one.run_id) && one.task === task && one.options.pixels) ||
    bakeOff.runs.some(({ run_id }) => foundOf(store, bakeOff, run_id, task, ({ result }) => !!result.pixels))
  );
}

/** The evaluation of a run that counts in a bake-off: of its last step, on the bake-off's images. */
export function foundOf(
  store: Store,
  { dataset_id, plan }: BakeOff,
  run: number,
  task: BakeOffTask,
  isWanted: (evaluation: Evaluation) => boolean = () => true,
): Evaluation | undefined {
  const { total_steps } = store.runs.head(run);
  return store.evaluations
    .list({ run_id: run })
    .find(
      (one) =>
        one.task === task &&
        one.dataset_id === dataset_id &&
        one.result.test_dataset === plan.test_dataset &&
        one.result.checkpoint.step === total_steps &&
        isWanted(one),
    );
}

/** Makes the trainings with labels that follow from a finished pretraining, where they are missing. */
export function addLabelled(store: Store, bakeOff: BakeOff, { run_id, entry, seed }: BakeOffRun): Run[] {
  const { id, name, asked, plan, dataset_id, test_dataset_id, runs } = bakeOff;
  const checkpoint = store.checkpoints.latest(run_id);
  if (!checkpoint || dataset_id === null || (asked.test_dataset !== null && test_dataset_id === null)) return [];
  const add = (role: 'finetune' | 'supervised', start: Start, epochs: number | null) => {
    const isThere = runs.some((run) => run.role === role && run.entry === entry && run.seed === seed);
    if (epochs === null || isThere) return [];
    const made = createFineTunings(store, {
      checkpoint: checkpoint.id,
      part: 'student',
      dataset: dataset_id,
      official: null,
      starts: [start],
      ...(test_dataset_id !== null && { testDataset: test_dataset_id }),
      settings: { epochs, seed },
    });
    for (const run of made) {
      if (role === 'supervised')
        store.runs.update(run.id, { name: store.runs.freeName(`${name}: with labels from scratch, seed ${seed}`) });
      tag(store, run.id, name);
      store.bakeOffs.addRun(id, { run_id: run.id, role, entry, seed });
    }
    return made;
  };
  return [
    ...add('finetune', 'trained', asked.finetune),
    // The encoder is of one size for all: it is trained once a seed, with the first method's start.
    ...(entry === 0 ? add('supervised', 'untrained', asked.supervised ? plan.supervised_epochs : null) : []),
  ];
}
