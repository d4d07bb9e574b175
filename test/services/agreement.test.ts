import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { agreementOf } from '../../electron/services/evaluation/agreement.ts';
import { Store } from '../../electron/store/store.ts';
import { FIRST_METHOD, parseRunConfig } from '../../methods/index.ts';
import type { EvaluationTask, Scores } from '../../shared/evaluation.ts';

let folder: string;
let store: Store;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'agreement-'));
  store = Store.open(join(folder, 'workbench.sqlite'));
  for (const name of ['cells', 'leaves'])
    store.datasets.create({ name, folders: [join(folder, name)], labels: 'folders' });
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});
const config = parseRunConfig({ method: { name: FIRST_METHOD } });

/** A run with evaluations of a step; a linear probe gives its accuracy. */
function run(dataset: string, step: number, found: Partial<Record<EvaluationTask, Scores>>) {
  const { id: dataset_id } = store.datasets.get(dataset);
  const { id } = store.runs.create({ dataset_id, preset: null, config, total_steps: step, steps_per_epoch: 1 });
  return evaluated(id, dataset, step, found);
}

function evaluated(id: number, dataset: string, step: number, found: Partial<Record<EvaluationTask, Scores>>) {
  const dataset_id = store.datasets.get(dataset).id;
  const { id: checkpoint } = store.checkpoints.save(
    id,
    { step, epoch: 1, loss: null, config, state: {}, metrics: [] },
    { student: new Map() },
  );
  for (const [task, trained] of Object.entries(found) as [EvaluationTask, Scores][])
    store.evaluations.add({
      checkpoint_id: checkpoint,
      dataset_id,
      task,
      result: {
        task,
        checkpoint: { id: checkpoint, run_id: id, step },
        dataset,
        test_dataset: dataset,
        settings: {},
        train_images: 9,
        test_images: 9,
        classes: null,
        chance: null,
        left_out: [],
        notices: [],
        trained,
        untrained: {},
      },
    });
  return id;
}
const both = (accuracy: number, rankme: number, more: Scores = {}) => ({
  linear: { mean_pooled: accuracy },
  labelfree: { rankme, ...more },
});
const of = (key: string) => agreementOf(store).find((one) => one.key === key)!;

test('runs of a dataset are ranked by a figure as by their linear probe, or not', () => {
  for (const [i, accuracy] of [0.3, 0.4, 0.5, 0.6].entries()) run('cells', 10, both(accuracy, i, { uniformity: -i }));
  // Of the other dataset all figures are higher, and accuracies lower: between datasets nothing is compared.
  for (const [i, accuracy] of [0.1, 0.11, 0.12, 0.13].entries()) run('leaves', 10, both(accuracy, 100 + i));
  expect(of('rankme')).toMatchObject({ runs: 8, datasets: ['cells', 'leaves'], tau: 1, interval: [1, 1] });
  expect(of('uniformity')).toMatchObject({ runs: 4, datasets: ['cells'], tau: -1 });
  expect(of('lidar')).toMatchObject({ runs: 0, tau: null, interval: null });
});

test('of alpha-ReQ nearness to 1 counts', () => {
  for (const [accuracy, alpha_req] of [[0.5, 1], [0.4, 1.2], [0.3, 0.6], [0.2, 2]] as const) // biome-ignore format: a pair a run
    run('cells', 10, both(accuracy, 1, { alpha_req }));
  expect(of('alpha_req').tau).toBe(1);
});

test('both figures are of one checkpoint, the latest that has a linear probe', () => {
  const id = run('cells', 10, both(0.9, 1));
  evaluated(id, 'cells', 20, both(0.2, 5));
  evaluated(id, 'cells', 30, { labelfree: { rankme: 50 } });
  run('cells', 10, both(0.4, 7));
  run('cells', 10, { linear: { mean_pooled: 0.1 } }); // without the other it is left out
  // By the steps 20: 0.2 and 5, beside 0.4 and 7.
  expect(of('rankme')).toMatchObject({ runs: 2, tau: 1 });
});

test('look-ups count by what is more than their control', () => {
  for (const [accuracy, top1, top1_control] of [[0.5, 0.9, 0.3], [0.4, 0.95, 0.5], [0.3, 0.99, 0.9]] as const) // biome-ignore format: a run each
    run('cells', 10, { linear: { mean_pooled: accuracy }, lookup: { top1, top1_control } });
  expect(of('content')).toMatchObject({ runs: 3, tau: 1 });
});
