import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Batch } from '../../electron/data/loader.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { labPreview } from '../../electron/services/recipes/lab.ts';
import { createFineTunings } from '../../electron/services/runs/fine-tune.ts';
import { createRun } from '../../electron/services/runs/runs.ts';
import { Store } from '../../electron/store/store.ts';
import { LabelledData } from '../../electron/trainer/labelled-data.ts';
import { pretrainingData, type RunData } from '../../electron/trainer/run-data.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';

const root = mkdtempSync(join(tmpdir(), 'same-seed-'));
const folder = join(root, 'images');
const config = runConfigSchema.parse({
  model: { image_size: 16, patch_size: 4, embed_dim: 8, depth: 1, num_heads: 1, position: 'none' },
  projector: { hidden: 8, out: 4 },
  mask: { kind: 'uniform' },
  train: { batch_size: 4, epochs: 3 },
  data: { workers: 1 },
});

beforeAll(async () => {
  for (let i = 0; i < 12; i++) {
    const file = join(folder, `class${i % 3}`, `${i}.png`);
    mkdirSync(join(file, '..'), { recursive: true });
    const noise = Buffer.from(Uint8Array.from({ length: 30 * 20 * 3 }, (_, p) => (p * 37 + i * 101) % 256));
    const png = await sharp(noise, { raw: { width: 30, height: 20, channels: 3 } })
      .png()
      .toBuffer();
    writeFileSync(file, png);
  }
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** What does not name a row of the database. */
async function drawsOf(data: RunData, store: Store, n: number) {
  const batches: Batch[] = [];
  try {
    while (batches.length < n) batches.push(await data.next());
  } finally {
    await data.close();
  }
  const pathOf = (id: number) => store.images.get(id).path;
  return batches.map(({ waitMs: _, imageIds, ...batch }) => ({ ...batch, paths: [...imageIds].map(pathOf) }));
}

/** Batches of a pretraining and of a fine-tuning, and a preview, in a home of its own. */
async function inHome(name: string, images: string, before: (store: Store) => Promise<void>) {
  const store = Store.open(join(root, `${name}.sqlite`));
  try {
    await before(store);
    const { dataset } = await importDataset(store, { name: 'set', folders: [images], labels: 'folders' });
    const run = createRun(store, { dataset: 'set', config, preset: null });
    const pretraining = await drawsOf(pretrainingData(store, run), store, 7);
    const tensors = { student: new Map(), teacher: new Map() };
    const checkpoint = store.checkpoints.save(run.id, { step: 1, epoch: 1, loss: 1, config, state: {} }, tensors);
    const settings = { batch_size: 4, epochs: 2 };
    const ask = { checkpoint: checkpoint.id, part: 'student' as const, dataset: 'set', official: null, settings };
    const tuning = store.runs.get(createFineTunings(store, ask)[0]!.id);
    const tuned = await drawsOf(new LabelledData(store, tuning, tuning.finetune!), store, 5);
    const rows = store.images.list(dataset.id, { status: 'ok' });
    const previews = await labPreview(store, config, { images: rows.map(({ id }) => id), draw: 2 });
    return { first: rows[0]!.id, pretraining, tuned, previews: previews.map(({ image: _, ...preview }) => preview) };
  } finally {
    store.close();
  }
}

test('the same folder and seed are the same run in every home, whatever was imported before and wherever it lies', async () => {
  const one = await inHome('one', folder, async () => {});
  const elsewhere = join(root, 'renamed folder');
  cpSync(folder, elsewhere, { recursive: true });
  const grown = join(root, 'grown');
  mkdirSync(join(grown, 'class2'), { recursive: true });
  cpSync(join(folder, 'class2'), join(grown, 'class2'), { recursive: true });
  const two = await inHome('two', elsewhere, async (store) => {
    await importDataset(store, { name: 'other', folders: [join(folder, 'class1')] });
  });
  // Rows in another order too: the last class was there first.
  const three = await inHome('three', grown, async (store) => {
    await importDataset(store, { name: 'set', folders: [grown], labels: 'folders' });
    cpSync(folder, grown, { recursive: true });
  });
  expect(two.first).not.toBe(one.first);
  expect({ ...two, first: 0 }).toEqual({ ...one, first: 0 });
  expect({ ...three, first: 0 }).toEqual({ ...one, first: 0 });
});
