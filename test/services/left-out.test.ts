import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type ImageReader, onReadable, type Readable } from '../../electron/data/readable.ts';
import { writeSafetensors } from '../../electron/formats/safetensors.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { exportEmbeddings } from '../../electron/services/embeddings/embeddings.ts';
import { evaluate } from '../../electron/services/evaluation/evaluation.ts';
import type { EvaluateOptions } from '../../electron/services/evaluation/types.ts';
import { Explorer } from '../../electron/services/explore/explore.ts';
import { computeMap, storedMap } from '../../electron/services/explore/feature-map.ts';
import { FeatureViews } from '../../electron/services/explore/features.ts';
import { computeProbes, probeStrip } from '../../electron/services/explore/probe-strip.ts';
import { importWeights } from '../../electron/services/export/weights.ts';
import { measureHealth } from '../../electron/services/health/health.ts';
import { healthPage } from '../../electron/services/health/page.ts';
import { PatchIndexes } from '../../electron/services/retrieval/patch-index.ts';
import { drawLookups } from '../../electron/services/sheets/lookup.ts';
import { Store } from '../../electron/store/store.ts';
import { usableImages } from '../../electron/trainer/labelled.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { AppError } from '../../shared/errors.ts';
import { leftOutWords } from '../../shared/left-out.ts';

await loadBackend();
const folder = mkdtempSync(join(tmpdir(), 'left-out-'));
const pictures = join(folder, 'pictures');
const store = Store.open(join(folder, 'workbench.sqlite'));
const config = runConfigSchema.parse({
  model: { image_size: 32, patch_size: 8, embed_dim: 16, depth: 2, num_heads: 2 },
  projector: { hidden: 16, out: 8 },
  train: { batch_size: 8 },
});
const IMAGES = 30;
const GONE = ['class-0/00.png', 'class-1/13.png'];
const BROKEN = 'class-2/20.png';
const LOST = 3;
let [dataset, run, checkpoint, spoiled] = [0, 0, 0, 0];

beforeAll(async () => {
  for (let i = 0; i < IMAGES; i++) {
    const file = join(pictures, `class-${i % 3}`, `${String(i).padStart(2, '0')}.png`);
    mkdirSync(join(file, '..'), { recursive: true });
    const noise = Buffer.from(
      Uint8Array.from({ length: 40 * 40 * 3 }, (_, p) => (p * 37 + i * 101 + (p >> 4) * i) % 256),
    );
    await sharp(noise, { raw: { width: 40, height: 40, channels: 3 } })
      .png()
      .toFile(file);
  }
  await importDataset(store, { name: 'set', folders: [pictures], labels: 'folders' });
  dataset = store.datasets.get('set').id;
  const seeded = (seed: number) => untrainedState({ ...config, train: { ...config.train, seed } });
  const made = store.runs.create({ dataset_id: dataset, preset: null, config, total_steps: 1, steps_per_epoch: 1 });
  run = made.id;
  const at = (step: number) => ({ step, epoch: 1, loss: null, config, state: {} });
  checkpoint = store.checkpoints.save(run, at(9), { student: seeded(77), teacher: seeded(78) }).id;
  const bad = seeded(77);
  bad.get('blocks.1.mlp.fc2.weight')!.data[3] = Number.POSITIVE_INFINITY;
  const other = store.runs.create({ dataset_id: dataset, preset: null, config, total_steps: 1, steps_per_epoch: 1 });
  spoiled = store.checkpoints.save(other.id, at(9), { student: bad, teacher: bad }).id;
});
afterAll(() => {
  store.close();
  rmSync(folder, { recursive: true });
});
const spec = () => ({
  checkpoint_id: checkpoint,
  dataset_id: dataset,
  part: 'student' as const,
  feature: 'tokens',
  max_images: 0,
});
const colours = (id: number) =>
  new FeatureViews(store).colours({
    checkpoint: id,
    dataset,
    image: null,
    images: IMAGES,
    part: 'student',
    untrained: false,
    block: null,
    foreground: null,
  });
const mapOf = (id: number) => ({ checkpoint: id, dataset, part: 'student', untrained: false, pool: 'mean' }) as const;

describe('features that are not finite are an error, and no figure', () => {
  const works: [string, () => Promise<unknown>][] = [
    ...(['knn', 'linear', 'fewshot', 'lookup'] as const).map((task): [string, () => Promise<unknown>] => [
      task,
      () => evaluate(store, { checkpoint: spoiled, dataset, task, official: null }),
    ]),
    ['beside another', () => evaluate(store, { checkpoint, dataset, task: 'knn', official: spoiled })],
    ['health', () => measureHealth(store, { checkpoint: spoiled, dataset })],
    ['lookups', () => new Explorer(store).accuracy({ checkpoint: spoiled, dataset, images: 16 }, () => {})],
    ['colours', () => colours(spoiled)],
    ['map', () => computeMap(store, mapOf(spoiled), () => {})],
    ['index', () => new PatchIndexes(store).build({ ...spec(), checkpoint_id: spoiled })],
    ['embeddings', () => exportTo(spoiled, 'spoiled.npy')],
  ];
  test.each(works)('%s', async (_, work) => {
    await expect(work()).rejects.toMatchObject({ kind: 'diverged', message: expect.stringContaining('not finite') });
  });
});

describe('weights without a projector have no look-ups', () => {
  const encoder = async (lacking: RegExp) => {
    const file = join(folder, `encoder ${lacking.source.length}.safetensors`);
    const tensors = new Map([...untrainedState(config)].filter(([name]) => !lacking.test(name)));
    const { model, projector } = config;
    writeSafetensors(file, tensors, { 'conmim.config': JSON.stringify({ model, projector }) });
    return (await importWeights(store, file)).checkpoint;
  };
  test('neither for themselves nor beside a run; their tokens can be asked for', async () => {
    const plain = await encoder(/^projectors\.|^mask_token$/);
    expect(plain.lacks).toEqual(['projector', 'mask token']);
    const why = { kind: 'bad-input', message: 'These weights have no look-ups.' };
    const task = 'lookup' as const;
    await expect(evaluate(store, { checkpoint: plain.id, dataset, task, official: null })).rejects.toMatchObject(why);
    await expect(new Explorer(store).accuracy({ checkpoint: plain.id, dataset, images: 16 }, () => {}))
      .rejects //
      .toMatchObject(why);
    await expect(measureHealth(store, { checkpoint: plain.id, dataset })).rejects.toMatchObject(why);
    const beside = await evaluate(store, { checkpoint, dataset, task, official: plain.id });
    expect(beside).toMatchObject({ trained: expect.anything(), untrained: expect.anything() });
    expect(beside).not.toHaveProperty('official');
    const tokens = await evaluate(store, { checkpoint, dataset, task: 'knn', official: plain.id });
    expect(tokens).toHaveProperty('official');
  });
  test('those that have all are asked like any other', async () => {
    const whole = await encoder(/^nothing$/);
    expect(whole.lacks).toEqual([]);
    const beside = await evaluate(store, { checkpoint, dataset, task: 'lookup', official: whole.id });
    expect(beside).toHaveProperty('official');
  });
});

const exportTo = (id: number, file: string) =>
  exportEmbeddings(store, {
    checkpoint: id,
    dataset,
    part: 'student',
    feature: 'mean',
    format: 'npy',
    file: join(folder, file),
  });

describe('images that went away or broke are left out, counted and named', () => {
  const lookups = (images: number) => new Explorer(store).accuracy({ checkpoint, dataset, images }, () => {});
  const asked = (task: EvaluateOptions['task']) => evaluate(store, { checkpoint, dataset, task, official: null });
  let whole: Awaited<ReturnType<typeof asked>>;
  beforeAll(async () => {
    whole = await asked('knn');
    for (const path of GONE) rmSync(join(pictures, path));
    writeFileSync(join(pictures, BROKEN), 'no picture any more');
  });

  test('figures that cannot be stored are said all the same, with the reason', async () => {
    const full = new AppError('bad-file', 'No room to write it.', 'The disk is full.', 'Make room.');
    const add = vi.spyOn(store.evaluations, 'add').mockImplementation(() => {
      throw full;
    });
    try {
      const { not_stored, ...figures } = await asked('knn');
      expect(not_stored).toBe('No room to write it. The disk is full. Make room.');
      expect(figures.trained).toBeDefined();
    } finally {
      add.mockRestore();
    }
    expect((await asked('knn')).not_stored).toBeUndefined();
  });

  test.each(['knn', 'linear', 'fewshot', 'lookup'] as const)('%s', async (task) => {
    const found = await asked(task);
    const { left_out, notices } = found;
    expect(left_out.map(({ path }) => path).sort()).toEqual([...GONE, BROKEN].sort());
    expect(notices).toContain(leftOutWords(left_out, IMAGES));
    expect(left_out.find(({ path }) => path === GONE[0])!.why).toMatch(/ENOENT|no such file/);
    expect(left_out.every(({ why }) => !why.includes(pictures))).toBe(true);
    if (task === 'lookup') expect(found.test_images).toBe(IMAGES - LOST);
    else expect(found.train_images + found.test_images).toBe(whole.train_images + whole.test_images - LOST);
    for (const scores of [found.trained, found.untrained])
      for (const value of Object.values(scores)) expect(value === null || (value >= 0 && value <= 1)).toBe(true);
    const total = found.confusion?.trained?.flat().reduce((a, b) => a + b, 0);
    if (total !== undefined) expect(total).toBe(found.test_images);
  });

  test('an evaluation of the queue that goes on with kept features leaves the same out', async () => {
    const { id } = store.queuedEvaluations.add({
      checkpoint_id: checkpoint,
      dataset_id: dataset,
      test_dataset_id: null,
      task: 'knn',
      options: { k: 20 },
    });
    const stop = new AbortController();
    const options = { checkpoint, dataset, task: 'knn' as const, official: null, queued: id };
    const onProgress = (done: number) => done > IMAGES && stop.abort();
    await expect(evaluate(store, { ...options, onProgress, signal: stop.signal })).rejects.toThrow();
    const direct = await asked('knn');
    const found = await evaluate(store, options);
    expect(found.left_out.map(({ path }) => path).sort()).toEqual([...GONE, BROKEN].sort());
    expect({ ...found, left_out: [], notices: [] }).toEqual({ ...direct, left_out: [], notices: [] });
  });

  test('health, look-ups, colours, map, index, embeddings, the strip and sheets', async () => {
    const report = await measureHealth(store, { checkpoint, dataset });
    expect(report).toMatchObject({ images: IMAGES - LOST });
    expect(report.left_out).toHaveLength(LOST);
    expect(await healthPage(store, report)).toContain('3 of 30 images are left out');
    expect(await lookups(IMAGES)).toMatchObject({ images: IMAGES - LOST, left_out: { length: LOST } });
    const view = await colours(checkpoint);
    expect(view.images).toHaveLength(IMAGES - LOST);
    expect(view.left_out).toHaveLength(LOST);
    await computeMap(store, mapOf(checkpoint), () => {});
    expect(storedMap(store, mapOf(checkpoint))).toMatchObject({ unreadable: LOST, left_out: { length: LOST } });
    expect(await new PatchIndexes(store).build(spec())).toMatchObject({ unreadable: LOST, left_out: { length: LOST } });
    const { unreadable, images } = await exportTo(checkpoint, 'whole.npy');
    expect([images, unreadable.length]).toEqual([IMAGES - LOST, LOST]);
    expect((await computeProbes(store, run, () => {})).computed).toBeGreaterThan(0);
    const strip = await probeStrip(store, run);
    expect(strip.images).toHaveLength(4);
    expect(strip.columns.every(({ answers }) => answers?.length === 4)).toBe(true);
    const state = (part: 'student' | 'teacher') => store.checkpoints.load(checkpoint, part);
    await drawLookups({
      config,
      student: state('student'),
      teacher: state('teacher'),
      rows: 8,
      seed: 1,
      caption: '',
      images: usableImages(store, dataset).map(({ file, path }) => ({ path: file, title: path })),
      out: join(folder, 'sheet.png'),
    });
    expect((await sharp(join(folder, 'sheet.png')).metadata()).width).toBeGreaterThan(100);
  });
});

describe('one work on the same images', () => {
  const images: Readable[] = [1, 2, 3, 4].map((id) => ({ id, file: `/${id}`, path: `${id}` }));
  const readerWith = (gone: Set<string>) => async (file: string) => {
    if (gone.has(file)) throw new AppError('bad-file', `${file} cannot be decoded.`, 'ENOENT');
    return file;
  };

  test('begins anew where an image goes away between two networks, and gives up where they go on going', async () => {
    const gone = new Set(['/2']);
    const turns: string[][] = [];
    const work = (lose: (turn: number) => string | undefined) => async (reader: ImageReader) => {
      const seen: string[][] = [];
      for (const network of [0, 1]) {
        const read = await reader.read(images, readerWith(gone));
        seen.push(read.map(({ value }) => value));
        if (network === 0) reader.settle();
        const lost = network === 0 && lose(turns.length);
        if (lost) {
          gone.add(lost);
          turns.push(seen[0]!);
        }
      }
      return seen;
    };
    const { value, leftOut } = await onReadable(work((turn) => (turn === 0 ? '/4' : undefined)));
    expect(value).toEqual([
      ['/1', '/3'],
      ['/1', '/3'],
    ]);
    expect(leftOut).toEqual([
      { path: '2', why: 'ENOENT' },
      { path: '4', why: 'ENOENT' },
    ]);
    gone.clear();
    await expect(onReadable(work((turn) => `/${turn}`))).rejects.toMatchObject({ kind: 'data-vanished' });
  });

  test('what is said names the first and counts the rest', () => {
    expect(leftOutWords([], 9)).toBe('');
    expect(leftOutWords([{ path: 'a.png', why: 'ENOENT' }], 9)).toBe(
      '1 of 9 images is left out, because it cannot be read: a.png (ENOENT). Replace or remove the file, then import the folder again.',
    );
    const many = Array.from({ length: 5 }, (_, i) => ({ path: `${i}.png`, why: '' }));
    expect(leftOutWords(many, 9)).toContain(
      '5 of 9 images are left out, because they cannot be read: 0.png, 1.png, 2.png, and 2 more.',
    );
  });
});
