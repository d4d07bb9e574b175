import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { warmupSteps } from '../../electron/engine/schedule.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { createRun } from '../../electron/services/runs/runs.ts';
import { MIGRATIONS } from '../../electron/store/migrations/index.ts';
import { migrate } from '../../electron/store/open.ts';
import { Store } from '../../electron/store/store.ts';
import { stepsOf, stepsPerEpoch } from '../../electron/trainer/training-images.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { trainEmpty } from '../harness/empty-training.ts';

const root = mkdtempSync(join(tmpdir(), 'epochs-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function add(from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) {
    const noise = Buffer.from(Uint8Array.from({ length: 20 * 20 * 3 }, (_, p) => (p * 37 + i * 101) % 256));
    const picture = sharp(noise, { raw: { width: 20, height: 20, channels: 3 } });
    await picture.png().toFile(join(root, `${String(i).padStart(3, '0')}.png`));
  }
}
beforeAll(() => add(0, 12));

const configWith = (train: object, more: object = {}) =>
  runConfigSchema.parse({
    model: { image_size: 8, patch_size: 4 },
    mask: { kind: 'uniform' },
    data: { workers: 1 },
    ...more,
    train: { batch_size: 4, ...train },
  });

/** Trains until the end, or until a step. */
async function train(store: Store, id: number, until?: number) {
  const notices = await trainEmpty(store, id, until);
  return { notices, checkpoints: store.checkpoints.list(id), metrics: store.metrics.list(id) };
}

test('epochs are passes over the images, to the nearest step, whatever batch and accumulation', () => {
  const whole = (max: number) => fc.integer({ min: 1, max });
  fc.assert(
    fc.property(
      whole(5000),
      whole(512),
      whole(64),
      whole(300),
      whole(4),
      (images, batch, accumulation, epochs, crops) => {
        const train = { batch_size: batch + 1, accumulation, crops_per_image: crops };
        const perEpoch = stepsPerEpoch(images, { train } as Parameters<typeof stepsPerEpoch>[1]);
        const steps = stepsOf(epochs, perEpoch);
        const ofStep = (train.batch_size * accumulation) / (images * crops);
        expect(Number.isInteger(steps) && steps >= 1).toBe(true);
        expect(Math.abs(steps * ofStep - epochs)).toBeLessThanOrEqual(Math.max(1, ofStep) * (1 + 1e-9));
        if (ofStep <= epochs) expect(Math.abs(steps * ofStep - epochs)).toBeLessThanOrEqual(ofStep / 2 + 1e-9);
      },
    ),
  );
  // Where batches fill epochs, they are what the published code takes: len(dataset) // batch.
  expect(stepsPerEpoch(1280, configWith({ batch_size: 64 }))).toBe(20);
  expect(warmupSteps(configWith({ batch_size: 64 }, { optimizer: { warmup_epochs: 5 } }), 1000, 20)).toBe(100);
});

test('metrics, checkpoints and steps agree on the epoch, with accumulation and without', async () => {
  const store = Store.open(join(root, 'agree.sqlite'));
  try {
    await importDataset(store, { name: 'a', folders: [root] });
    for (const accumulation of [1, 2, 5, 20]) {
      const checkpoint = { every_epochs: 2, keep_last: 50, every_minutes: null };
      const config = configWith({ accumulation, epochs: 6 }, { checkpoint });
      const run = createRun(store, { dataset: 'a', config, preset: null });
      const { checkpoints, metrics } = await train(store, run.id);
      const passes = (step: number) => (step * accumulation * 4) / 12;
      expect(run.total_steps).toBe(Math.max(1, Math.round(18 / accumulation)));
      expect(run.steps_per_epoch).toBe(3 / accumulation);
      expect(metrics.map(({ step, epoch }) => [step, epoch])).toEqual(
        metrics.map(({ step }) => [step, Math.ceil(passes(step)) - 1]),
      );
      for (const { step, epoch } of checkpoints) expect(epoch).toBe(Math.floor(passes(step) + 1e-9));
      const whole = (step: number) => Math.floor(passes(step) / 2 + 1e-9);
      const due = metrics.map(({ step }) => step).filter((step) => whole(step) > whole(step - 1));
      expect(checkpoints.map(({ step }) => step)).toEqual([...new Set([...due, run.total_steps])]);
    }
  } finally {
    store.close();
  }
});

test('a dataset that grows or shrinks under a paused run does not make its epoch jump', async () => {
  const store = Store.open(join(root, 'jump.sqlite'));
  try {
    await importDataset(store, { name: 'a', folders: [root] });
    const config = configWith({ steps: 30 }, { checkpoint: { every_steps: 1, keep_last: 50 } });
    const { id } = createRun(store, { dataset: 'a', config, preset: null });
    const before = await train(store, id, 11);
    expect(before.metrics.at(-1)!.epoch).toBe(3);
    await add(12, 24);
    await importDataset(store, { name: 'a', folders: [root] });
    const { metrics, notices, checkpoints } = await train(store, id);
    expect(notices.join()).toContain('have changed');
    const epochs = metrics.map(({ epoch }) => epoch);
    // 11 steps of 4 are 3 2/3 epochs of 12; of 24 images, 8 are left of the fourth, then 6 steps make one.
    expect(epochs.slice(11, 21)).toEqual([3, 3, 4, 4, 4, 4, 4, 4, 5, 5]);
    expect(checkpoints.slice(10, 13).map(({ epoch }) => epoch)).toEqual([3, 3, 4]);
  } finally {
    store.close();
    for (let i = 12; i < 24; i++) rmSync(join(root, `${String(i).padStart(3, '0')}.png`), { force: true });
  }
});

test('a run of an older program keeps its whole steps, and goes on after the images that it has seen', async () => {
  const path = join(root, 'older.sqlite');
  const db = new Database(path);
  const format = MIGRATIONS.findIndex(({ name }) => name === 'epochSteps');
  migrate(db, format);
  db.exec(`
    INSERT INTO datasets (id, name, folders, labels, created_at) VALUES (1, 'a', '${JSON.stringify([root])}', 'none', 1);
    INSERT INTO runs (id, name, dataset_id, config, status, step, total_steps, steps_per_epoch, created_at)
      VALUES (1, 'r', 1, '${JSON.stringify(configWith({ accumulation: 2 }))}', 'paused', 2, 4, 1, 1);`);
  db.close();
  const store = Store.open(path);
  try {
    await importDataset(store, { name: 'a', folders: [root] });
    expect(store.runs.get(1)).toMatchObject({ steps_per_epoch: 1, total_steps: 4 });
    const old = {
      step: 2,
      epoch: 2,
      loss: 1,
      config: store.runs.get(1).config,
      state: { updates: 2, seed: 0, data: '' },
    };
    store.checkpoints.save(1, old, { exp_avg: [], exp_avg_sq: [] });
    const { notices, metrics } = await train(store, 1);
    expect(notices.join()).toContain('older version');
    // 16 of 12 images were seen; two micro-batches of 4 make 24, and 32.
    expect(metrics.map(({ step, epoch }) => [step, epoch])).toEqual([
      [3, 1],
      [4, 2],
    ]);
  } finally {
    store.close();
  }
});
