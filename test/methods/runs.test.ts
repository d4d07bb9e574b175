import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { createRun } from '../../electron/services/runs/runs.ts';
import { Store } from '../../electron/store/store.ts';
import { pretrainingData } from '../../electron/trainer/run-data.ts';
import { Training, type untrainedState } from '../../electron/trainer/training.ts';
import { METHODS } from '../../methods/index.ts';
import { scratch } from '../store/helpers.ts';
import { trainLenders } from './lenders.ts';
import { tinyConfig } from './tiny.ts';

// What holds for a run of every method, whatever it keeps beside its weights: queues, centres, running statistics.

await loadBackend();

describe.each(METHODS)('$title', (method) => {
  test('paused and resumed it is the same run to the bit', async () => {
    const root = scratch();
    const folder = join(root, 'images');
    mkdirSync(folder);
    for (let i = 0; i < 12; i++) {
      const pixels = Buffer.from(Uint8Array.from({ length: 24 * 20 * 3 }, (_, p) => (p * p * 37 + i * 101) % 256));
      const png = await sharp(pixels, { raw: { width: 24, height: 20, channels: 3 } })
        .png()
        .toBuffer();
      writeFileSync(join(folder, `${i}.png`), png);
    }
    const store = Store.open(join(root, 'workbench.sqlite'));
    try {
      await importDataset(store, { name: 'set', folders: [folder] });
      const config = tinyConfig(method, { steps: 8 });
      await trainLenders(store, 'set', config);
      /** @param pauses steps after which it is paused */
      const trained = async (pauses: readonly number[]) => {
        const run = createRun(store, { dataset: 'set', config, preset: null });
        for (let part = 0; part <= pauses.length; part++) {
          let steps = 0;
          const events = {
            onMetric: () => steps++,
            onCheckpoint: () => {},
            onNotice: () => {},
            request: () => (steps + (pauses[part - 1] ?? 0) === pauses[part] ? ('pause' as const) : null),
          };
          await new Training(store, store.runs.get(run.id), events, pretrainingData(store, run)).train();
        }
        const { id } = store.checkpoints.latest(run.id)!;
        const parts = ['student', ...(method.hasTeacher ? ['teacher'] : []), 'exp_avg', 'exp_avg_sq'] as const;
        const state = parts.map((part) => [part, Object.fromEntries(store.checkpoints.load(id, part as 'student'))]);
        const losses = store.metrics.list(run.id).map(({ step, loss, figures }) => ({ step, loss, figures }));
        return { losses, state: Object.fromEntries(state) as Record<string, ReturnType<typeof untrainedState>> };
      };
      const whole = await trained([]);
      expect(whole.losses).toHaveLength(8);
      expect(await trained([3, 5])).toEqual(whole);
    } finally {
      store.close();
    }
  });
});
