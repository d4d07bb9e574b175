import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import type { AppError, ErrorReport } from '../../shared/errors.ts';
import { CONFIG, catchError, metric, newStore, state } from './helpers.ts';

const GAVE_UP: ErrorReport = { kind: 'internal', what: 'It ended without a word, again.', why: '', next: '' };

/** A process that has ended. */
const ended = () => spawnSync(process.execPath, ['-e', '']).pid;

function withCheckpoints(steps: number[]) {
  const { store, run, dataset } = newStore();
  const ids = steps.map((step) => {
    const at = { step, epoch: step, loss: step, config: CONFIG, state: { step } };
    return store.checkpoints.save(
      run.id,
      { ...at, metrics: [metric(step)] },
      { student: state(step, 1), teacher: state(step, 1), exp_avg: state(step, 1), exp_avg_sq: state(step, 1) },
    ).id;
  });
  const add = (checkpoint: number) =>
    store.queuedEvaluations.add({
      ...{ checkpoint_id: checkpoint, dataset_id: dataset.id, test_dataset_id: null },
      ...{ task: 'knn', options: { k: 20 } },
    });
  return { store, run, ids, add };
}

test('one whose process ends without a word is first in the queue again, and after the third time it is given up', () => {
  const { store, ids, add } = withCheckpoints([1]);
  const [one, other] = [add(ids[0]!), add(ids[0]!)];
  const { queuedEvaluations } = store;
  for (const deaths of [1, 2]) {
    expect(queuedEvaluations.claim(one.id, ended())).toBe(true);
    queuedEvaluations.reconcile(3, () => GAVE_UP);
    expect(queuedEvaluations.get(one.id)).toMatchObject({ deaths, pid: null, error: null });
    expect(store.queue.order().map(({ id }) => id)).toEqual([one.id, other.id]);
  }
  expect(queuedEvaluations.claim(one.id, ended())).toBe(true);
  queuedEvaluations.reconcile(3, () => GAVE_UP);
  expect(queuedEvaluations.get(one.id)).toMatchObject({ pid: null, error: GAVE_UP });
  expect(store.queue.order().map(({ id }) => id)).toEqual([other.id]);
  expect(queuedEvaluations.claim(one.id, process.pid)).toBe(false);
});

test('of two processes one gets the device', () => {
  const { store, ids, add } = withCheckpoints([1]);
  const [one, other] = [add(ids[0]!), add(ids[0]!)];
  expect(store.queuedEvaluations.claim(one.id, process.pid)).toBe(true);
  expect(store.queuedEvaluations.claim(one.id, process.ppid)).toBe(false);
  expect(store.queuedEvaluations.claim(other.id, process.ppid)).toBe(false);
  store.queuedEvaluations.putBack(one.id);
  expect(store.queuedEvaluations.claim(other.id, process.ppid)).toBe(true);
});

test('a checkpoint that one waits for is not tidied away', () => {
  const { store, run, ids, add } = withCheckpoints([1, 2, 3]);
  const waits = add(ids[1]!);
  const policy = { keep_last: 1, keep_best: false, keep_every_epochs: null };
  const kept = () => {
    store.checkpoints.applyKeepPolicy(run.id, policy);
    return store.checkpoints
      .list(run.id)
      .map(({ step }) => step)
      .sort();
  };
  expect(kept()).toEqual([2, 3]);
  store.queuedEvaluations.remove(waits.id);
  expect(kept()).toEqual([3]);
  expect((catchError(() => store.queuedEvaluations.get(waits.id)) as AppError).kind).toBe('not-found');
});
