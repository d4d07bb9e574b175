import type { Checkpoint } from '../../../shared/checkpoint.ts';
import { AppError } from '../../../shared/errors.ts';
import type { Evaluated, QueuedEvaluation } from '../../../shared/evaluation.ts';
import type { Store } from '../../store/store.ts';
import type { EvaluateAsked } from '../ground/jobs.ts';
import { evaluateClasses } from './classes.ts';
import { contestants } from './contestants.ts';
import { evaluateWithoutLabels } from './label-free.ts';
import { evaluateLookups } from './lookups.ts';
import type { EvaluateOptions } from './types.ts';

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
export function queueEvaluation(store: Store, asked: EvaluateAsked & { k: number }): QueuedEvaluation {
  const { checkpoint, dataset, testDataset, task, k, official, pixels = false } = asked;
  return store.queuedEvaluations.add({
    checkpoint_id: evaluable(store, checkpoint).id,
    dataset_id: store.datasets.get(dataset).id,
    test_dataset_id: testDataset === undefined ? null : store.datasets.get(testDataset).id,
    task,
    options: { k, ...(official !== undefined && { official }), ...(pixels && { pixels }) },
  });
}

/** Evaluates a checkpoint beside its untrained network, and stores the figures. Needs a backend to be set. */
export async function evaluate(store: Store, options: EvaluateOptions): Promise<Evaluated> {
  const checkpoint = evaluable(store, options.checkpoint);
  const networks = contestants(store, checkpoint, options.official);
  const ask =
    options.task === 'lookup'
      ? evaluateLookups
      : options.task === 'labelfree'
        ? evaluateWithoutLabels
        : evaluateClasses;
  const { scores, ...measured } = await ask(store, networks, options);
  const dataset = store.datasets.get(options.dataset);
  const test = options.testDataset === undefined ? dataset : store.datasets.get(options.testDataset);
  const result: Evaluated = {
    task: options.task,
    checkpoint: { id: checkpoint.id, run_id: checkpoint.run_id, step: checkpoint.step },
    dataset: dataset.name,
    test_dataset: test.name,
    ...measured,
    trained: scores.trained!,
    untrained: scores.untrained!,
    ...(scores.pixels && { pixels: scores.pixels }),
    ...(scores.official && {
      official: scores.official,
      official_name: networks.find(({ start }) => start === 'official')!.name,
    }),
  };
  const found = { checkpoint_id: checkpoint.id, dataset_id: dataset.id, task: options.task, result };
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
