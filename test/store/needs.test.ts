import { expect, test } from 'vitest';
import { deleteRun, requireDeletable } from '../../electron/services/runs/runs.ts';
import type { Run } from '../../shared/run.ts';
import { CONFIG, catchError, metric, newStore, state } from './helpers.ts';

/** A pretraining with a checkpoint, imported weights, a dataset of test images, and fine-tunings that need them. */
function made(status: Run['status']) {
  const { store, run, dataset } = newStore();
  const test = store.datasets.create({ name: 'test images', folders: ['/t'], labels: 'folders' });
  const save = (id: number, step: number) =>
    store.checkpoints.save(
      id,
      { step, epoch: step, loss: step, config: CONFIG, state: {}, metrics: [metric(step)] },
      { student: state(step, 1), teacher: state(step, 1), exp_avg: state(step, 1), exp_avg_sq: state(step, 1) },
    ).id;
  const common = { preset: null, config: CONFIG, total_steps: 9, steps_per_epoch: 1 };
  const official = store.runs.create({ ...common, dataset_id: null, name: 'official weights' });
  const [checkpoint, weights] = [save(run.id, 1), save(official.id, 0)];
  const tune = (source_id: number, start: 'trained' | 'official') => {
    const { id } = store.runs.create({
      ...common,
      dataset_id: dataset.id,
      name: `tuned, ${start}`,
      finetune: {
        group: 'g',
        start,
        checkpoint_id: checkpoint,
        run_id: run.id,
        source_id,
        part: 'student',
        test_dataset_id: test.id,
        lone: [],
        has_positions: true,
        classes: ['a', 'b'],
        settings: {},
      },
    });
    store.runs.update(id, { status });
    return id;
  };
  const tuned = [tune(checkpoint, 'trained'), tune(weights, 'official')];
  return { store, run, official, test, checkpoint, weights, tuned, save };
}
const refused = (name: string) => ({ kind: 'conflict', why: expect.stringContaining(name) });

test.each(['queued', 'paused', 'interrupted'] as const)(
  'what a fine-tuning that is %s needs is not deleted',
  (status) => {
    const { store, run, official, test, checkpoint, weights, tuned, save } = made(status);
    expect(catchError(() => store.datasets.delete(test.id))).toMatchObject(refused(`"tuned, trained" (${status})`));
    expect(catchError(() => deleteRun(store, run.id))).toMatchObject(refused('"tuned, trained"'));
    expect(catchError(() => deleteRun(store, official.id))).toMatchObject(refused('"tuned, official"'));
    expect(catchError(() => store.checkpoints.delete(checkpoint))).toMatchObject(refused('"tuned, trained"'));
    expect(catchError(() => store.checkpoints.delete(weights))).toMatchObject(refused('"tuned, official"'));
    expect(catchError(() => requireDeletable(store, [run.id, tuned[1]!]))).toMatchObject(refused('"tuned, trained"'));
    // Nor is it tidied away while its run goes on.
    const policy = { keep_last: 1, keep_best: false, keep_every_epochs: null };
    for (const step of [2, 3]) save(run.id, step);
    store.checkpoints.applyKeepPolicy(run.id, policy);
    expect(store.checkpoints.list(run.id).map(({ step }) => step)).toEqual([1, 3]);
    // Together they go, the fine-tunings first.
    requireDeletable(store, [run.id, ...tuned]);
    for (const id of tuned) deleteRun(store, id);
    deleteRun(store, run.id);
    store.datasets.delete(test.id);
    expect(store.runs.list().map(({ name }) => name)).toEqual(['official weights']);
  },
);

test.each(['finished', 'stopped', 'failed'] as const)('what a fine-tuning needed that is %s may go', (status) => {
  const { store, run, official, test, checkpoint } = made(status);
  store.datasets.delete(test.id);
  store.checkpoints.delete(checkpoint);
  deleteRun(store, official.id);
  deleteRun(store, run.id);
});

test('what an evaluation of the queue is of is not deleted, but with its run', () => {
  const { store, run, test, checkpoint } = made('finished');
  const asked = { checkpoint_id: checkpoint, task: 'knn' as const, options: { k: 5 } };
  const waits = store.queuedEvaluations.add({ ...asked, dataset_id: run.dataset_id!, test_dataset_id: test.id });
  const why = 'By an evaluation of the queue (knn of "photos run", step 1).';
  expect(catchError(() => store.datasets.delete(test.id))).toMatchObject({ kind: 'conflict', why });
  expect(catchError(() => store.checkpoints.delete(checkpoint))).toMatchObject({ kind: 'conflict', why });
  store.queuedEvaluations.fail(waits.id, { kind: 'internal', what: '', why: '', next: '' });
  store.checkpoints.delete(checkpoint);
  store.datasets.delete(test.id);
  deleteRun(store, run.id);
});
