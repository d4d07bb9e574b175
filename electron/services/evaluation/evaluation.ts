import type { Checkpoint } from '../../../shared/checkpoint.ts';
import { AppError } from '../../../shared/errors.ts';
import type { EvaluationTask, QueuedEvaluation } from '../../../shared/evaluation.ts';
import type { Start } from '../../../shared/finetune.ts';
import type { LeftOut } from '../../../shared/left-out.ts';
import type { Store } from '../../store/store.ts';
import { evaluateClasses } from './classes.ts';
import { contestants } from './contestants.ts';
import { evaluateLookups } from './lookups.ts';

/** A fine-tuning is a run of its own: `createFineTunings`. */
export type Task = Exclude<EvaluationTask, 'finetune'>;

/** What is to be evaluated, on what. */
interface Asked {
  checkpoint: number;
  dataset: string | number;
  /** Where the test images come from; without it, a fixed fifth of each class of `dataset`. */
  testDataset?: string | number;
  task: Task;
  /** Neighbours of k-NN. */
  k?: number;
  /** As `contestants` takes it. */
  official?: number | null;
}

export interface EvaluateOptions extends Asked {
  /** It is this one of the queue: it goes on with the features that it has, and leaves the queue with its figures. */
  queued?: number;
  onProgress?: (done: number, total: number, what: string) => void;
  signal?: AbortSignal;
}

/** Figures of one network. */
export type Scores = Record<string, number | null>;

/** What an evaluation finds, by the network that was asked. */
export interface Measured {
  scores: Partial<Record<Start, Scores>>;
  train_images: number;
  test_images: number;
  classes: number | null;
  /** What guessing gives. */
  chance: number;
  /** How often each class (row) was taken for each (column). */
  confusion?: { classes: string[] } & Partial<Record<Start, number[][]>>;
  settings: Record<string, unknown>;
  /** Images that could not be read, and are in no figure. */
  left_out: LeftOut[];
  /** What a person should know beside the figures. */
  notices: string[];
}

export interface EvaluationResult extends Omit<Measured, 'scores'> {
  task: EvaluationTask;
  checkpoint: { id: number; run_id: number; step: number };
  dataset: string;
  test_dataset: string;
  trained: Scores;
  /** The same network at its start: without it no figure of the trained one says anything. */
  untrained: Scores;
  /** Weights that were imported, where there were any. */
  official?: Scores;
  official_name?: string;
  /** Why the figures are not kept with the checkpoint: what was computed for hours is said all the same. */
  not_stored?: string;
}

/** A checkpoint that can be evaluated. @throws AppError not-found; bad-input for one of a fine-tuning */
function evaluable(store: Store, id: number): Checkpoint {
  const checkpoint = store.checkpoints.get(id);
  const run = store.runs.get(checkpoint.run_id);
  if (run.kind === 'finetune') {
    const why = 'It has a classifier in place of the projector, and its accuracy was measured as it was trained.';
    throw new AppError('bad-input', `Run "${run.name}" is a fine-tuning.`, why, 'Choose a pretraining.');
  }
  return checkpoint;
}

/**
 * Puts an evaluation at the end of the queue.
 * @throws AppError not-found; bad-input for a checkpoint that cannot be evaluated
 */
export function queueEvaluation(store: Store, asked: Asked & { k: number }): QueuedEvaluation {
  const { checkpoint, dataset, testDataset, task, k, official } = asked;
  return store.queuedEvaluations.add({
    checkpoint_id: evaluable(store, checkpoint).id,
    dataset_id: store.datasets.get(dataset).id,
    test_dataset_id: testDataset === undefined ? null : store.datasets.get(testDataset).id,
    task,
    options: { k, ...(official !== undefined && { official }) },
  });
}

/** Evaluates a checkpoint beside its untrained network, and stores the figures. Needs a backend to be set. */
export async function evaluate(store: Store, options: EvaluateOptions): Promise<EvaluationResult> {
  const checkpoint = evaluable(store, options.checkpoint);
  const networks = contestants(store, checkpoint, options.official);
  const ask = options.task === 'lookup' ? evaluateLookups : evaluateClasses;
  const { scores, ...measured } = await ask(store, networks, options);
  const dataset = store.datasets.get(options.dataset);
  const test = options.testDataset === undefined ? dataset : store.datasets.get(options.testDataset);
  const result: EvaluationResult = {
    task: options.task,
    checkpoint: { id: checkpoint.id, run_id: checkpoint.run_id, step: checkpoint.step },
    dataset: dataset.name,
    test_dataset: test.name,
    ...measured,
    trained: scores.trained!,
    untrained: scores.untrained!,
    ...(scores.official && {
      official: scores.official,
      official_name: networks.find(({ start }) => start === 'official')!.name,
    }),
  };
  const found = { checkpoint_id: checkpoint.id, dataset_id: dataset.id, task: options.task, result: { ...result } };
  if (options.queued !== undefined) {
    store.queuedEvaluations.finish(options.queued, found);
    return result;
  }
  try {
    store.evaluations.add(found);
    return result;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { ...result, not_stored: [error.message, error.why, error.next].filter(Boolean).join(' ') };
  }
}
