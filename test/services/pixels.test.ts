import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { centreImage } from '../../electron/data/centre.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { evaluate, queueEvaluation } from '../../electron/services/evaluation/evaluation.ts';
import { Store } from '../../electron/store/store.ts';
import { splitLabelled } from '../../electron/trainer/labelled.ts';
import { makeImages } from '../e2e/harness.ts';
import { makeLearnedMae } from '../e2e/learned-run.ts';

// Pixels in place of features: a row that every comparison of networks is held against.

const home = mkdtempSync(join(tmpdir(), 'pixels-'));
let store: Store;
let checkpoint = 0;
beforeAll(async () => {
  await loadBackend();
  checkpoint = await makeLearnedMae(home);
  store = Store.open(join(home, 'workbench.sqlite'));
  await makeImages(join(home, 'more'), 60); // the first of them are those that are trained on
  await importDataset(store, { name: 'more', folders: [join(home, 'more')], labels: 'folders' });
});
afterAll(() => {
  store.close();
  rmSync(home, { recursive: true });
});
const asked = { dataset: 1, official: null, pixels: true };

test('the nearest neighbour in pixels is found as by hand', async () => {
  const knn = { ...asked, checkpoint, testDataset: 'more', task: 'knn' as const };
  const { pixels, trained, ...rest } = await evaluate(store, knn);
  const { train, test: held } = splitLabelled(store, 1, 'more');
  const { augment } = store.checkpoints.get(checkpoint).config;
  const rows = async (images: typeof train) =>
    Promise.all(
      images.map(async ({ file, label }) => {
        const x = Array.from(await centreImage(file, 16, augment));
        const length = Math.hypot(...x);
        return { label, x: x.map((v) => v / length) };
      }),
    );
  const [bank, asking] = [await rows(train), await rows(held)];
  const right = asking.filter(({ label, x }) => {
    const cosines = bank.map((one) => one.x.reduce((sum, v, i) => sum + v * x[i]!, 0));
    return bank[cosines.indexOf(Math.max(...cosines))]!.label === label;
  });
  expect(held.length).toBe(36);
  expect(pixels!.mean_pooled_k1).toBeCloseTo(right.length / held.length, 9);
  expect(Object.keys(pixels!)).toEqual(['mean_pooled', 'mean_pooled_k1']); // they have no CLS
  expect(rest.untrained).toHaveProperty('cls');
  // Networks are asked as without them.
  expect(trained).toEqual((await evaluate(store, { ...knn, pixels: false })).trained);
});

test('linear probe and few-shot k-NN have them too, and they are kept with the figures', async () => {
  for (const task of ['linear', 'fewshot'] as const) {
    const { pixels, trained } = await evaluate(store, { ...asked, checkpoint, task });
    expect(Object.keys(trained)).toEqual(expect.arrayContaining(Object.keys(pixels!)));
    expect(store.evaluations.list().at(-1)!.result.pixels).toEqual(pixels);
  }
});

test('one of the queue asks for them, and keeps no features of theirs', async () => {
  const { id } = queueEvaluation(store, { ...asked, checkpoint, task: 'knn', k: 5 });
  const { options } = store.queuedEvaluations.get(id);
  expect(options).toEqual({ k: 5, official: null, pixels: true });
  const lock = store.queuedEvaluations.claim(id, process.pid)!;
  const kept: string[] = [];
  const save = store.queuedEvaluations.savePart.bind(store.queuedEvaluations);
  store.queuedEvaluations.savePart = (...part) => {
    kept.push(part[1].split(' ')[0]!);
    save(...part);
  };
  const { pixels } = await evaluate(store, { ...asked, ...options, checkpoint, task: 'knn', queued: id });
  lock.remove();
  expect(pixels).toHaveProperty('mean_pooled');
  expect([...new Set(kept)]).toEqual(['trained', 'untrained']);
});
