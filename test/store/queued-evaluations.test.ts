import { expect, test } from 'vitest';
import type { FileLock } from '../../electron/store/file-lock.ts';
import type { AppError, ErrorReport } from '../../shared/errors.ts';
import type { QueuedEvaluation } from '../../shared/evaluation.ts';
import { CONFIG, catchError, metric, newStore, state } from './helpers.ts';

const GAVE_UP: ErrorReport = { kind: 'internal', what: 'It ended without a word, again.', why: '', next: '' };

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
  const add = (checkpoint: number, task: QueuedEvaluation['task'] = 'knn') =>
    store.queuedEvaluations.add({
      checkpoint_id: checkpoint,
      dataset_id: dataset.id,
      test_dataset_id: null,
      task,
      options: { k: 20 },
    });
  return { store, run, ids, add };
}

test('one whose process ends without a word is first in the queue again, and after the third time it is given up', () => {
  const { store, ids, add } = withCheckpoints([1]);
  const [one, other] = [add(ids[0]!), add(ids[0]!)];
  const { queuedEvaluations } = store;
  for (const deaths of [1, 2]) {
    queuedEvaluations.claim(one.id, process.pid)!.release(); // as the system does for a process that ends
    queuedEvaluations.recoverLost(3, () => GAVE_UP);
    expect(queuedEvaluations.get(one.id)).toMatchObject({ deaths, pid: null, error: null });
    expect(store.queue.order().map(({ id }) => id)).toEqual([one.id, other.id]);
  }
  queuedEvaluations.claim(one.id, process.pid)!.release();
  queuedEvaluations.recoverLost(3, () => GAVE_UP);
  expect(queuedEvaluations.get(one.id)).toMatchObject({ pid: null, error: GAVE_UP });
  expect(store.queue.order().map(({ id }) => id)).toEqual([other.id]);
  expect(queuedEvaluations.claim(one.id, process.pid)).toBeNull();
});

test('of two processes one gets the device', () => {
  const { store, ids, add } = withCheckpoints([1]);
  const [one, other] = [add(ids[0]!), add(ids[0]!)];
  const lock = store.queuedEvaluations.claim(one.id, process.pid)!;
  for (const pid of [process.pid, process.ppid])
    for (const { id } of [one, other]) expect(store.queuedEvaluations.claim(id, pid)).toBeNull();
  lock.remove();
  store.queuedEvaluations.putBack(one.id);
  expect(store.queuedEvaluations.claim(other.id, process.ppid)).not.toBeNull();
});

test('none begins while a run is trained, or about to be', () => {
  const { store, run, ids, add } = withCheckpoints([1]);
  const one = add(ids[0]!);
  const place = store.runs.reserve(run.id);
  expect(store.queuedEvaluations.claim(one.id, process.pid)).toBeNull();
  const lock = store.runs.claim(run.id, process.pid) as FileLock;
  place.remove();
  expect(store.queuedEvaluations.claim(one.id, process.pid)).toBeNull();
  lock.remove();
  expect(store.queuedEvaluations.claim(one.id, process.pid)).not.toBeNull();
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

test('features go to the next one of the same checkpoint that needs them, and with the last that does', () => {
  const { store, ids, add } = withCheckpoints([1, 2]);
  const { queuedEvaluations: queue } = store;
  const [knn, lookup, other] = [add(ids[0]!), add(ids[0]!, 'lookup'), add(ids[1]!)];
  const [linear, fewshot, last] = [add(ids[0]!, 'linear'), add(ids[0]!, 'fewshot'), add(ids[0]!)];
  store.queue.put({ kind: 'evaluation', id: fewshot.id }, { kind: 'evaluation', id: linear.id });
  const partsOf = ({ id }: QueuedEvaluation) =>
    queue.parts(id, 'key').map(({ start, features }) => [start, ...features]);
  queue.savePart(knn.id, 'key', 0, Float32Array.of(1, 2));
  queue.savePart(knn.id, 'key', 2, Float32Array.of(3, 4));
  queue.savePart(fewshot.id, 'key', 0, Float32Array.of(1, 9)); // it was begun before, and keeps its own
  queue.remove(knn.id);
  const both = [
    [0, 1, 9],
    [2, 3, 4],
  ];
  expect([lookup, other, linear, fewshot, last].map(partsOf)).toEqual([[], [], [], both, []]);
  queue.fail(linear.id, GAVE_UP);
  queue.fail(fewshot.id, GAVE_UP);
  expect([linear, fewshot, last].map(partsOf)).toEqual([[], [], both]); // those that failed need none
  queue.cancel(last.id);
  expect([lookup, other, linear, fewshot].map(partsOf)).toEqual([[], [], [], []]);
});
