import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, expect, test } from 'vitest';
import { centreImage, stack } from '../../electron/data/centre.ts';
import { FrozenNetwork } from '../../electron/engine/inference.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { createRun } from '../../electron/services/runs/runs.ts';
import { Store } from '../../electron/store/store.ts';
import { usableImages } from '../../electron/trainer/labelled.ts';
import { pretrainingData } from '../../electron/trainer/run-data.ts';
import { rankMe } from '../../electron/trainer/spectrum.ts';
import { Training, untrainedState } from '../../electron/trainer/training.ts';
import { parseRunConfig } from '../../methods/index.ts';
import type { RunConfig } from '../../shared/config.ts';
import { measuresIn } from '../../shared/feature-measures.ts';
import type { StateDict } from '../../shared/tensors.ts';

await loadBackend();
const root = join(import.meta.dirname, `../../node_modules/.checkpoint-features-${process.pid}`);
mkdirSync(join(root, 'images', 'a'), { recursive: true });
mkdirSync(join(root, 'images', 'b'), { recursive: true });
const store = Store.open(join(root, 'workbench.sqlite'));
afterAll(() => {
  store.close();
  rmSync(root, { recursive: true, force: true });
});
const IMAGES = 40;
for (let i = 0; i < IMAGES; i++) {
  const [folder, base] = i % 4 === 0 ? ['a', 150] : ['b', 90];
  const noise = Buffer.from(Uint8Array.from({ length: 20 * 20 * 3 }, (_, p) => base + ((p * 37 + i * 101) % 80)));
  const png = await sharp(noise, { raw: { width: 20, height: 20, channels: 3 } })
    .png()
    .toBuffer();
  writeFileSync(join(root, 'images', folder as string, `${i}.png`), png);
}
await importDataset(store, { name: 'classes', folders: [join(root, 'images')], labels: 'folders' });
await importDataset(store, { name: 'none', folders: [join(root, 'images')], labels: 'none' });

const configOf = (checkpoint_images: number | null, mixed_precision: 'on' | 'off' = 'off') =>
  parseRunConfig({
    model: { image_size: 16, patch_size: 8, embed_dim: 8, depth: 1, num_heads: 2 },
    mask: { kind: 'uniform' },
    projector: { hidden: 8, out: 8 },
    optimizer: { lr: 1e-2, warmup_epochs: 0 },
    train: { batch_size: 4, steps: 4, mixed_precision },
    checkpoint: { every_steps: 2, keep_last: 10 },
    metrics: { checkpoint_images },
    data: { workers: 1 },
  });

/** @returns its number */
async function trained(dataset: string, config: RunConfig): Promise<number> {
  const run = createRun(store, { dataset, config, preset: null });
  const events = { onMetric: () => {}, onCheckpoint: () => {}, onNotice: () => {}, request: () => null };
  await new Training(store, run, events, pretrainingData(store, run)).train();
  return run.id;
}
const statesOf = (run: number) =>
  store.checkpoints.list(run).map(({ id }) => Object.fromEntries([...store.checkpoints.load(id, 'student')]));

/** Mean patch tokens of all images, in the order of their contents. */
async function meansOf(dataset: string, config: RunConfig, state: StateDict) {
  const images = usableImages(store, dataset).sort((a, b) => (a.hash < b.hash ? -1 : 1));
  const network = new FrozenNetwork(config.model, config.projector, state);
  const pixels = await Promise.all(
    images.map(({ file }) => centreImage(file, config.model.image_size, config.augment)),
  );
  const tokens = network.tokens(stack(pixels));
  network.dispose();
  const [K, width] = [4, config.model.embed_dim];
  const rows = images.map((_, i) =>
    Array.from({ length: width }, (_, d) => {
      let sum = 0;
      for (let p = 1; p <= K; p++) sum += tokens[(i * (K + 1) + p) * width + d]!;
      return sum / K;
    }),
  );
  return { rows, labels: images.map(({ label }) => label) };
}

/** Each fifth asked of the others, written out: the 20 nearest by cosine vote with exp(cosine / 0.07). */
function knnOf({ rows, labels }: Awaited<ReturnType<typeof meansOf>>): number {
  const dot = (a: number[], b: number[]) => a.reduce((sum, v, i) => sum + v * b[i]!, 0);
  const cosine = (a: number[], b: number[]) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  const right = rows.filter((row, i) => {
    const near = rows
      .map((other, j) => ({ j, near: cosine(row, other) }))
      .filter(({ j }) => j % 5 !== i % 5)
      .sort((a, b) => b.near - a.near)
      .slice(0, 20);
    const votes: Record<string, number> = {};
    for (const { j, near: c } of near) votes[labels[j]!] = (votes[labels[j]!] ?? 0) + Math.exp(c / 0.07);
    return Object.entries(votes).sort((a, b) => b[1] - a[1])[0]![0] === labels[i];
  });
  return right.length / rows.length;
}

test('at each checkpoint k-NN of the images is stored beside that of the untrained network', async () => {
  const config = configOf(512);
  const run = await trained('classes', config);
  const measures = measuresIn(store.metrics.list(run));
  expect(measures.map(({ step }) => step)).toEqual([2, 4]);
  const untrained = knnOf(await meansOf('classes', config, untrainedState(config)));
  for (const { id, step } of store.checkpoints.list(run)) {
    const measure = measures.find((one) => one.step === step)!;
    expect(measure).toMatchObject({ task: 'knn', images: IMAGES, chance: 0.75 });
    expect(measure.trained).toBeCloseTo(
      knnOf(await meansOf('classes', config, store.checkpoints.load(id, 'student'))),
      6,
    );
    expect(measure.untrained).toBeCloseTo(untrained, 6);
  }
});

test('of images without classes RankMe is, and of none nothing; the training is the same to the bit', async () => {
  const config = configOf(512);
  const [with_, without] = [await trained('none', config), await trained('none', configOf(null))];
  const last = measuresIn(store.metrics.list(with_)).at(-1)!;
  const { rows } = await meansOf(
    'none',
    config,
    store.checkpoints.load(store.checkpoints.latest(with_)!.id, 'student'),
  );
  expect(last).toMatchObject({ step: 4, task: 'rankme', images: IMAGES, chance: null });
  expect(last.trained).toBeCloseTo(rankMe(Float32Array.from(rows.flat()), 8), 3);
  expect(measuresIn(store.metrics.list(without))).toEqual([]);
  expect(statesOf(with_)).toEqual(statesOf(without));
  const losses = (run: number) => store.metrics.list(run).map(({ loss }) => loss);
  expect(losses(with_)).toEqual(losses(without));
});

test('a run that computes in sixteen bits is measured as well', async () => {
  const config = configOf(512, 'on');
  const run = await trained('classes', config);
  const measures = measuresIn(store.metrics.list(run));
  expect(measures.map(({ step }) => step)).toEqual([2, 4]);
  for (const { id, step } of store.checkpoints.list(run)) {
    const want = knnOf(await meansOf('classes', config, store.checkpoints.load(id, 'student')));
    // Rounded features may have other neighbours, of a few images.
    expect(Math.abs(measures.find((one) => one.step === step)!.trained - want)).toBeLessThanOrEqual(0.1);
  }
});

test('no more images are asked than the setting says, and too few are not', async () => {
  const config = configOf(34);
  const run = await trained('classes', config);
  expect(measuresIn(store.metrics.list(run)).map(({ images }) => images)).toEqual([34, 34]);
  const few = await trained('classes', configOf(20));
  expect(measuresIn(store.metrics.list(few))).toEqual([]);
});
