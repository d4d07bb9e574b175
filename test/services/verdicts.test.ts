import { expect, test } from 'vitest';
import { measuresOf, verdictOfRun } from '../../electron/services/runs/verdicts.ts';
import { asFigures } from '../../shared/feature-measures.ts';
import { evaluationResult } from '../harness/evaluation-result.ts';
import { metric, newStore } from '../store/helpers.ts';

const knn = (trained: number) => asFigures({ task: 'knn', trained, untrained: 0.4, images: 400, chance: 0.25 });

test('what a run measured itself counts, and what evaluations found where it measured nothing', () => {
  const { store, run, dataset } = newStore();
  const checkpoint = store.checkpoints.save(
    run.id,
    { step: 20, epoch: 1, loss: null, config: run.config, state: {} },
    {},
  );
  const result = evaluationResult({
    task: 'knn',
    checkpoint: { id: checkpoint.id, run_id: run.id, step: 20 },
    test_images: 50,
    chance: 0.3,
    trained: { mean_pooled: 0.7, cls: 0.1 },
    untrained: { mean_pooled: 0.5, cls: 0.1 },
  });
  store.evaluations.add({ checkpoint_id: checkpoint.id, dataset_id: dataset.id, task: 'knn', result });
  const found = { step: 20, task: 'knn', trained: 0.7, untrained: 0.5, images: 50, chance: 0.3 };
  expect(measuresOf(store, run, [])).toEqual({ own: [], all: [found] });

  store.metrics.add(run.id, [metric(30), metric(40, { figures: knn(0.5) }), metric(50)]);
  const first = measuresOf(store, run, []);
  expect(first.all).toMatchObject([{ step: 40, trained: 0.5 }]);
  store.metrics.add(run.id, [metric(60, { figures: knn(0.6) })]);
  // Only what is new is read again.
  expect(measuresOf(store, run, first.own).all).toMatchObject([
    { step: 40, trained: 0.5 },
    { step: 60, trained: 0.6 },
  ]);
});

test('neighbours of the same class count before RankMe, wherever each was measured', () => {
  const { store, run, dataset } = newStore();
  const { id } = store.checkpoints.save(run.id, { step: 20, epoch: 1, loss: null, config: run.config, state: {} }, {});
  const add = (task: 'knn' | 'labelfree', figures: Record<string, number>) => {
    const checkpoint = { id, run_id: run.id, step: 20 };
    const result = evaluationResult({ task, checkpoint, test_images: 50, trained: figures, untrained: figures });
    store.evaluations.add({ checkpoint_id: id, dataset_id: dataset.id, task, result });
  };
  const tasks = () => measuresOf(store, run, []).all.map(({ task, step }) => [task, step]);
  add('labelfree', { rankme: 9 });
  expect(tasks()).toEqual([['rankme', 20]]);
  const figures = asFigures({ task: 'rankme', trained: 9, untrained: 8, images: 400, chance: null });
  store.metrics.add(run.id, [metric(40, { figures })]);
  expect(tasks()).toEqual([['rankme', 40]]);
  // Its own images have no classes; others that it was evaluated on do.
  add('knn', { mean_pooled: 0.7 });
  add('labelfree', { rankme: 9 });
  expect(tasks()).toEqual([['knn', 20]]);
});

test('nothing is said of a run that did not begin, and of one that learned the figures are', () => {
  const { store, run } = newStore();
  expect(verdictOfRun(store, run, null, [])).toBeNull();
  store.metrics.add(
    run.id,
    Array.from({ length: 300 }, (_, i) => metric(i + 1, i === 299 ? { figures: knn(0.8) } : {})),
  );
  const ended = { ...run, status: 'finished' as const, step: 300, total_steps: 300 };
  const verdict = verdictOfRun(store, ended, null, measuresOf(store, run, []).all)!;
  expect(verdict).toMatchObject({ kind: 'learns', level: 'good' });
  expect(verdict.figures[0]).toEqual({
    title: 'k-NN at step 300, 400 images',
    value: '80.0 %',
    beside: 'untrained 40.0 %, chance 25.0 %',
  });
});
