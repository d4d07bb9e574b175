import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { ImageReader } from '../../electron/data/readable.ts';
import { FrozenNetwork } from '../../electron/engine/inference.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { evaluate, queueEvaluation } from '../../electron/services/evaluation/evaluation.ts';
import type { EvaluateOptions } from '../../electron/services/evaluation/types.ts';
import { extractFeatures, FeatureMemory, FeatureTable } from '../../electron/services/ground/features.ts';
import { Store } from '../../electron/store/store.ts';
import { augmentSchema } from '../../shared/config.ts';
import { makeImages } from '../e2e/harness.ts';
import { makeLearnedMae } from '../e2e/learned-run.ts';

const home = mkdtempSync(join(tmpdir(), 'extraction-'));
afterAll(() => rmSync(home, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

describe('features of images', () => {
  const COUNT = 200;
  const BROKEN = [3, 130, 199];
  const images = Array.from({ length: COUNT }, (_, i) => {
    const path = `class-0/image ${String(i).padStart(3, '0')}.png`;
    return { id: 1000 - i, path, file: join(home, 'many', path) };
  });
  beforeAll(async () => {
    await makeImages(join(home, 'many'), COUNT, 1);
    for (const i of BROKEN) writeFileSync(images[i]!.file, 'no picture');
  });

  /** Two poolings of two numbers: the first pixel, and how many images were asked together. */
  function extraction(memory: FeatureMemory, signal?: AbortSignal) {
    const reader = new ImageReader();
    const table = new FeatureTable(images, 2, 2, reader, memory.of('key'));
    const sizes: number[] = [];
    const encode = (input: Float32Array, n: number) => {
      sizes.push(n);
      const first = Float32Array.from({ length: 2 * n }, (_, i) => input[(i >> 1) * 48 + (i % 2)]!);
      return [first, new Float32Array(2 * n).fill(n)];
    };
    const encoder = { side: 4, augment: augmentSchema.parse({}), encode };
    const asked = { images, fileOf: ({ file }: (typeof images)[0]) => file, encoder, sink: table, reader };
    return { table, reader, sizes, begun: table.images, run: () => extractFeatures({ ...asked, signal }) };
  }

  test('go on behind what is kept, in the same batches, and leave out the same images', async () => {
    const whole = extraction(new FeatureMemory());
    await whole.run();
    // 200 images by 32, the last of 8; those that cannot be read are in the first, the fifth and the last.
    expect(whole.sizes).toEqual([31, 32, 32, 32, 31, 32, 7]);
    const [first, size] = whole.table.columns;
    for (let i = 0; i < COUNT; i++) expect(Number.isNaN(first![2 * i]!)).toBe(BROKEN.includes(i));
    expect([size![0], size![2 * 40], size![2 * 198]]).toEqual([31, 32, 7]);

    const memory = new FeatureMemory();
    const stop = new AbortController();
    const cut = extraction(memory, stop.signal);
    let added = 0;
    const add = cut.table.add.bind(cut.table);
    vi.spyOn(cut.table, 'add').mockImplementation((batch) => {
      add(batch);
      if (++added === 5) stop.abort(new Error('enough'));
    });
    await expect(cut.run()).rejects.toThrow('enough');
    expect(cut.sizes).toHaveLength(5);

    const again = extraction(memory);
    expect(again.begun).toBe(128); // what came behind the last part is computed again
    expect(again.reader.leftOut).toEqual([{ path: images[3]!.path, why: 'when it was first looked at' }]);
    await again.run();
    expect(again.sizes).toEqual([31, 32, 7]);
    expect(again.table.columns).toEqual(whole.table.columns);
    expect(again.reader.leftOut.map(({ path }) => path)).toEqual(BROKEN.map((i) => images[i]!.path));
    // All are kept by now: nothing is read any more.
    const last = extraction(memory);
    await last.run();
    expect(last.sizes).toEqual([]);
    expect(last.table.columns).toEqual(whole.table.columns);
  });
});

describe('evaluations of one checkpoint on the same images', () => {
  let store: Store;
  let checkpoint = 0;
  beforeAll(async () => {
    await loadBackend();
    checkpoint = await makeLearnedMae(home);
    store = Store.open(join(home, 'workbench.sqlite'));
    await makeImages(join(home, 'more'), 40); // the first of them are those that are trained on
    await importDataset(store, { name: 'more', folders: [join(home, 'more')], labels: 'folders' });
  });
  afterAll(() => store.close());

  const TASKS = ['knn', 'linear', 'fewshot'] as const;
  const asked = () => ({ checkpoint, dataset: 1, official: null });
  /** Does one, as a person who waits for it. @returns its figures, and how many batches were encoded for them */
  async function done(options: EvaluateOptions) {
    const tokens = vi.spyOn(FrozenNetwork.prototype, 'tokens');
    const { trained, untrained, confusion } = await evaluate(store, options);
    const batches = tokens.mock.calls.length;
    tokens.mockRestore();
    return { figures: { trained, untrained, confusion }, batches };
  }
  const queued = (task: (typeof TASKS)[number], rest = {}) =>
    queueEvaluation(store, { ...asked(), task, k: 5, ...rest });
  async function inTurn({ id, task }: ReturnType<typeof queued>, rest = {}) {
    const lock = store.queuedEvaluations.claim(id, process.pid)!;
    try {
      return await done({ ...asked(), ...rest, task, k: 5, queued: id });
    } finally {
      lock.remove();
    }
  }

  test('in the queue compute features once, and find the same', async () => {
    const rows = TASKS.map((task) => queued(task));
    const found = [];
    for (const row of rows) found.push(await inTurn(row));
    // Training and test images of two networks.
    expect(found.map(({ batches }) => batches)).toEqual([4, 0, 0]);
    for (const [i, task] of TASKS.entries()) {
      const alone = await done({ ...asked(), task, k: 5 });
      expect(alone.batches).toBe(4);
      expect(found[i]!.figures).toEqual(alone.figures);
    }
    // Nobody waits for them any more.
    expect((await inTurn(queued('knn'))).batches).toBe(4);
  });

  test('take of others only what is of their images', async () => {
    const [first, second] = [queued('knn'), queued('linear', { testDataset: 'more' })];
    expect((await inTurn(first)).batches).toBe(4);
    const { batches, figures } = await inTurn(second, { testDataset: 'more' });
    expect(batches).toBe(4); // 24 images are the training here, and a fifth of them the test there
    expect(figures).toEqual((await done({ ...asked(), task: 'linear', testDataset: 'more' })).figures);
  });

  test('share them in the memory of a process that makes several', async () => {
    const memory = new FeatureMemory();
    const found = [];
    for (const task of TASKS) found.push(await done({ ...asked(), task, k: 5, memory }));
    expect(found.map(({ batches }) => batches)).toEqual([4, 0, 0]);
    expect(found[1]!.figures).toEqual((await done({ ...asked(), task: 'linear', k: 5 })).figures);
  });
});
