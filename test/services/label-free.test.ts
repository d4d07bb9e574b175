import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { evaluate, queueEvaluation } from '../../electron/services/evaluation/evaluation.ts';
import { Store } from '../../electron/store/store.ts';
import { evaluationFigures, figureText } from '../../shared/evaluation-figures.ts';
import { makeImages } from '../e2e/harness.ts';
import { makeLearnedMae } from '../e2e/learned-run.ts';
import { catchError } from '../store/helpers.ts';

const home = mkdtempSync(join(tmpdir(), 'label-free-'));
let store: Store;
let checkpoint = 0;
beforeAll(async () => {
  await loadBackend();
  checkpoint = await makeLearnedMae(home);
  store = Store.open(join(home, 'workbench.sqlite'));
  await makeImages(join(home, 'more'), 40);
  await importDataset(store, { name: 'more', folders: [join(home, 'more')], labels: 'none' });
});
afterAll(() => {
  store.close();
  rmSync(home, { recursive: true });
});
const asked = { dataset: 'more', official: null, task: 'labelfree' as const };
const KEYS = ['rankme', 'lidar', 'alpha_req', 'uniformity', 'alignment'];

test('a dataset without classes gets them, of mean and CLS, beside the untrained network, the same each time', async () => {
  const { trained, untrained, test_images, chance, classes } = await evaluate(store, { ...asked, checkpoint });
  expect([test_images, chance, classes]).toEqual([40, null, null]);
  expect(Object.keys(trained)).toEqual([...KEYS, ...KEYS.map((key) => `${key}_of_cls`)]);
  expect(untrained).not.toEqual(trained);
  expect(trained.rankme).toBeGreaterThan(1);
  expect(trained.rankme).toBeLessThanOrEqual(40);
  expect(trained.lidar).toBeLessThanOrEqual(39); // one less than the images
  expect(trained.uniformity).toBeLessThan(0);
  // Two views of an image are nearer than nothing in common, and not the same.
  expect(trained.alignment).toBeGreaterThan(0);
  expect(trained.alignment).toBeLessThan(2);
  expect((await evaluate(store, { ...asked, checkpoint })).trained).toEqual(trained);
  // Kept and shown as numbers, not as shares.
  const [figure] = evaluationFigures(store.evaluations.list().at(-1)!);
  expect(figure).toMatchObject({ label: 'RankMe: directions in use', scale: 'plain', chance: null, n: 40 });
  expect(figureText(figure!.trained, figure!.scale)).toBe(trained.rankme!.toFixed(2));
});

test('images of a test dataset are asked where one is named', async () => {
  await makeImages(join(home, 'others'), 20);
  await importDataset(store, { name: 'others', folders: [join(home, 'others')], labels: 'none' });
  const found = await evaluate(store, { ...asked, checkpoint, testDataset: 'others' });
  expect([found.test_dataset, found.test_images]).toEqual(['others', 20]);
  expect(found.trained).toEqual((await evaluate(store, { ...asked, dataset: 'others', checkpoint })).trained);
});

test('a network that says one thing of every image has one direction', async () => {
  const state = store.checkpoints.load(checkpoint, 'student');
  // The last LayerNorm gives its shift alone.
  for (const [name, value] of [['norm.weight', 0], ['norm.bias', 1]] as const) state.get(name)!.data.fill(value); // biome-ignore format: pairs
  const load = store.checkpoints.load.bind(store.checkpoints);
  store.checkpoints.load = () => state;
  try {
    const { trained } = await evaluate(store, { ...asked, checkpoint });
    expect(trained.rankme).toBeCloseTo(1, 3);
    expect(trained.uniformity).toBeCloseTo(0, 6);
    expect(trained.alignment).toBeCloseTo(0, 6);
    expect(trained.alpha_req).toBeNull();
  } finally {
    store.checkpoints.load = load;
  }
});

test('an image that cannot be read is left out and said; too few are refused', async () => {
  const before = await evaluate(store, { ...asked, checkpoint });
  const [first] = store.images.list(store.datasets.get('more').id);
  writeFileSync(join(home, 'more', first!.path), 'no image');
  const { left_out, test_images, notices, trained } = await evaluate(store, { ...asked, checkpoint });
  expect([left_out.length, test_images]).toEqual([1, 39]);
  expect(notices[0]).toContain(first!.path);
  expect(trained).not.toEqual(before.trained);
  await makeImages(join(home, 'few'), 10);
  await importDataset(store, { name: 'few', folders: [join(home, 'few')], labels: 'none' });
  await expect(evaluate(store, { ...asked, checkpoint, dataset: 'few' })).rejects.toMatchObject({
    kind: 'bad-input',
    message: 'Figures without labels need 16 images at least; 10 can be read here.',
  });
});

test('the queue takes it', () => {
  const { id } = queueEvaluation(store, { ...asked, checkpoint, k: 20 });
  expect(store.queuedEvaluations.get(id)).toMatchObject({ task: 'labelfree', test_dataset_id: null });
  expect(catchError(() => queueEvaluation(store, { ...asked, checkpoint: 99, k: 20 }))).toMatchObject({
    kind: 'not-found',
  });
});
