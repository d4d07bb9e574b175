import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { createRun } from '../../electron/services/runs/runs.ts';
import { Store } from '../../electron/store/store.ts';
import { pretrainingData } from '../../electron/trainer/run-data.ts';
import { Training } from '../../electron/trainer/training.ts';
import { describe, METHODS, parseRunConfig } from '../../methods/index.ts';
import { seldomMeasured } from '../../shared/figures.ts';
import { trainLenders } from '../methods/lenders.ts';
import { scratch } from '../store/helpers.ts';

await loadBackend();

test.each(METHODS)(
  'a run of $name stores the figures that it describes, and no other',
  async ({ name, presets, defaultPreset }) => {
    const root = scratch();
    const folder = join(root, 'images');
    mkdirSync(folder);
    for (let i = 0; i < 8; i++) {
      const noise = Buffer.from(Uint8Array.from({ length: 20 * 20 * 3 }, (_, p) => (p * 37 + i * 101) % 256));
      writeFileSync(
        join(folder, `${i}.png`),
        await sharp(noise, { raw: { width: 20, height: 20, channels: 3 } })
          .png()
          .toBuffer(),
      );
    }
    const store = Store.open(join(root, 'workbench.sqlite'));
    try {
      await importDataset(store, { name: 'set', folders: [folder] });
      const preset = presets.find((one) => one.name === defaultPreset)!.config;
      const config = parseRunConfig({
        ...preset,
        method: { name },
        model: { ...preset.model, image_size: 32, patch_size: 8, embed_dim: 8, depth: 1, num_heads: 1 },
        train: { batch_size: 4, steps: 5 },
        metrics: { features_every: 4 },
        data: { workers: 1 },
      });
      await trainLenders(store, 'set', config);
      const run = createRun(store, { dataset: 'set', config, preset: null });
      const events = { onMetric: () => {}, onCheckpoint: () => {}, onNotice: () => {}, request: () => null };
      await new Training(store, run, events, pretrainingData(store, run)).train();
      const { figures, charts } = describe(run);
      const seldom = seldomMeasured(charts);
      for (const metric of store.metrics.list(run.id)) {
        const looked = [1, 4].includes(metric.step);
        const expected = figures.map(({ key }) => key).filter((key) => looked || !seldom.includes(key));
        expect(Object.keys(metric.figures).sort(), `step ${metric.step}`).toEqual(expected.sort());
        expect(Object.values(metric.figures).every(Number.isFinite)).toBe(true);
      }
      expect(store.metrics.count(run.id)).toBe(5);
    } finally {
      store.close();
    }
  },
);
