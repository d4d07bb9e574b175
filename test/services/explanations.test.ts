import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { Explanations } from '../../electron/services/explore/explain.ts';
import { measureHealth } from '../../electron/services/health/health.ts';
import { createRun } from '../../electron/services/runs/runs.ts';
import { Store } from '../../electron/store/store.ts';
import { pretrainingData } from '../../electron/trainer/run-data.ts';
import { Training } from '../../electron/trainer/training.ts';
import { METHODS, parseRunConfig } from '../../methods/index.ts';

// Answers about several images at once: what a method's networks say of pairs of their views.

const IMAGES = 6;
const root = mkdtempSync(join(tmpdir(), 'explanations-'));
const store = Store.open(join(root, 'workbench.sqlite'));

beforeAll(async () => {
  await loadBackend();
  const folder = join(root, 'images');
  mkdirSync(folder);
  for (let i = 0; i < IMAGES; i++) {
    const noise = Buffer.from(Uint8Array.from({ length: 40 * 40 * 3 }, (_, p) => (p * 37 + i * 101 + p * p * i) % 256));
    const png = sharp(noise, { raw: { width: 40, height: 40, channels: 3 } }).png();
    writeFileSync(join(folder, `${i}.png`), await png.toBuffer());
  }
  await importDataset(store, { name: 'set', folders: [folder] });
});
afterAll(() => {
  store.close();
  rmSync(root, { recursive: true, force: true });
});

const CASES = METHODS.flatMap((method) =>
  method.explains
    .filter(({ answer }) => answer?.batch !== undefined)
    .flatMap(({ key, answer }) =>
      method.presets
        .filter(({ name }) => name.endsWith('small-cpu'))
        .map((preset) => ({ name: preset.name, key, answer: answer!, method, preset })),
    ),
);

describe.each(CASES)('$key of $name', ({ name, key, answer, method, preset }) => {
  const trained = async () => {
    const config = parseRunConfig({
      ...preset.config,
      method: { name: method.name },
      model: { ...preset.config.model, image_size: 32, patch_size: 8, embed_dim: 8, depth: 1, num_heads: 1 },
      train: { batch_size: 4, steps: 2 },
      data: { workers: 1 },
    });
    const run = createRun(store, { dataset: 'set', config, preset: null, name: `${name} ${key}` });
    const events = { onMetric: () => {}, onCheckpoint: () => {}, onNotice: () => {}, request: () => null };
    await new Training(store, run, events, pretrainingData(store, run)).train();
    return store.checkpoints.latest(run.id)!.id;
  };

  test('has its numbers of crops as training draws them, the asked image first, before training too', async () => {
    const checkpoint = await trained();
    const explanations = new Explanations(store);
    const image = store.images.list(store.datasets.list()[0]!.id, { status: 'ok' })[3]!.id;
    const ask = (more: object = {}) =>
      explanations.explain({ checkpoint, image, key, mask: null, draw: 0, untrained: false, ...more });
    const view = await ask();
    // As many as the method asks about, of those that there are.
    const images = Math.min(answer.batch!, IMAGES);
    expect(view.batch).toHaveLength(images);
    expect(view.batch[0]!.image).toBe(image);
    expect(new Set(view.batch.map((one) => one.image)).size).toBe(images);
    const views = method.views(store.checkpoints.get(checkpoint).config).map((one) => one.name);
    for (const one of view.batch) expect(Object.keys(one.views)).toEqual(views);
    for (const pair of answer.pairs ?? []) {
      const values = view.pairs[pair.key]!;
      expect(values).toHaveLength(pair.rows.length * pair.columns.length * images ** 2);
      expect(values.every((v) => Math.abs(v) <= 1 + 1e-5)).toBe(true);
    }
    expect(await ask()).toEqual(view);
    const [drawn, untrained] = [await ask({ draw: 1 }), await ask({ untrained: true })];
    expect(drawn.batch[0]!.views).not.toEqual(view.batch[0]!.views);
    expect(untrained.batch).toEqual(view.batch);
    expect([untrained.pairs, untrained.maps]).not.toEqual([view.pairs, view.maps]);
    expect(untrained.step).toBe(0);
    // A health report loads student and teacher too, each as the method builds it.
    const report = await measureHealth(store, { checkpoint, dataset: store.datasets.list()[0]!.id });
    expect(report.images).toBe(IMAGES);
  });
});
