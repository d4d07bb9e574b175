import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeJpegs } from '../../electron/bench/loader.ts';
import { benchMemory } from '../../electron/bench/memory.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { buildConfig } from '../../electron/services/recipes/configuration.ts';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';

const folder = mkdtempSync(join(tmpdir(), 'memory-'));
let store: Store;
beforeAll(async () => {
  await makeJpegs(join(folder, 'images'), 8);
  store = Store.open(databaseIn(folder));
  await importDataset(store, { name: 'images', folders: [join(folder, 'images')] });
});
afterAll(() => {
  store.close();
  rmSync(folder, { recursive: true, force: true });
});

const TINY = [
  ...['model.image_size=32', 'model.patch_size=8', 'mask.unit=8', 'model.embed_dim=16', 'model.depth=2'],
  ...['model.num_heads=2', 'projector.hidden=16', 'projector.out=8', 'train.batch_size=4'],
  ...['checkpoint.every_steps=40', 'metrics.features_every=10', 'train.accumulation=2', 'train.steps=160'],
];
const MB = 1e6;

test.each([
  ['fp32', []],
  ['mixed precision and recomputed blocks', ['train.mixed_precision=on', 'train.recompute=true']],
])('a run grows in nothing from step to step: %s', async (_, settings) => {
  const { config } = buildConfig('small-cpu', [...TINY, ...settings]);
  const { samples, growth } = await benchMemory(store, { dataset: 'images', config, every: 20 });
  expect(samples).toHaveLength(8);
  expect(growth).toMatchObject({ steps: 120, tensors: 0, arrays: 0, tensor_bytes: 0 });
  // Metrics that wait to be written, and code that is being optimised: some kB a step at first, and then nothing.
  expect(growth.heap).toBeLessThan(2 * MB);
  // Batches of 0.1 MB, two a step, of which a queue's length may be there; kept ones would be 24 MB at the first of these
  // looks. The smallest counts: memory of arrays is given back beside the program, some of it after a look.
  expect(Math.min(...samples.slice(-3).map(({ buffers }) => buffers))).toBeLessThan(10 * MB);
});
