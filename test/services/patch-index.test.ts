import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { centreImage } from '../../electron/data/centre.ts';
import { stream } from '../../electron/data/random.ts';
import { FrozenNetwork } from '../../electron/engine/inference.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { indexFolder, sweepIndexes } from '../../electron/services/retrieval/folders.ts';
import { PatchIndexes } from '../../electron/services/retrieval/patch-index.ts';
import { drawRetrieval } from '../../electron/services/sheets/retrieval.ts';
import { Store } from '../../electron/store/store.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import type { RetrievalSpec } from '../../shared/retrieval.ts';
import { scratch } from '../store/helpers.ts';

const SIDE = 32;
const PATCH = 8;
const K = 16;
const config = runConfigSchema.parse({
  model: { image_size: SIDE, patch_size: PATCH, embed_dim: 32, depth: 2, num_heads: 2 },
  projector: { layers: 1, hidden: 32, out: 24 },
});
let folder: string;
let store: Store;
let indexes: PatchIndexes;
let spec: RetrievalSpec;

/** Noise in squares of two pixels: no patch is like another. */
const noise = (seed: number) => {
  const random = stream(seed, 0, 0, 'noise');
  const cells = Uint8Array.from({ length: (SIDE / 2) ** 2 * 3 }, () => random.int(256));
  return Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % SIDE, Math.floor(i / 3 / SIDE)];
    return cells[((y >> 1) * (SIDE / 2) + (x >> 1)) * 3 + (i % 3)]!;
  });
};
const put = async (path: string, pixels: Uint8Array) => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  await sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } })
    .png()
    .toFile(join(folder, path));
};
const scan = () => importDataset(store, { name: 'photos', folders: [folder], labels: 'folders' });
const idOf = (path: string) => store.images.list(spec.dataset_id).find((image) => image.path === path)!.id;

beforeAll(() => loadBackend());
beforeEach(async () => {
  folder = scratch();
  store = Store.open(join(scratch(), 'workbench.sqlite'));
  onTestFinished(() => {
    indexes.close();
    store.close();
  });
  for (let i = 0; i < 40; i++) await put(`${i % 2 === 0 ? 'even' : 'odd'}/${String(i).padStart(2, '0')}.png`, noise(i));
  // Every patch of it is the first of image 00.
  const first = noise(0);
  const tiled = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % SIDE, Math.floor(i / 3 / SIDE)];
    return first[((y % PATCH) * SIDE + (x % PATCH)) * 3 + (i % 3)]!;
  });
  await put('odd/tiled.png', tiled);
  await scan();
  const dataset = store.datasets.get('photos');
  const run = store.runs.create({ dataset_id: dataset.id, preset: null, config, total_steps: 1, steps_per_epoch: 1 });
  const state = untrainedState(config);
  const { id } = store.checkpoints.save(
    run.id,
    { step: 1, epoch: 1, loss: null, config, state: {} },
    { student: state, teacher: state },
  );
  spec = { checkpoint_id: id, dataset_id: dataset.id, part: 'teacher', feature: 'block-1', max_images: 0 };
  indexes = new PatchIndexes(store);
});

test('an image tiled from another is found; filters hold; the text says what was searched', async () => {
  await expect(indexes.search({ spec, image: idOf('even/00.png'), patches: [0], k: 5 })).rejects.toMatchObject({
    kind: 'not-found',
  });
  const report = await indexes.build(spec);
  expect(report).toMatchObject({ patches: 41 * K, unreadable: 0, index: { images: 41, is_ready: true } });

  const query = { spec, image: idOf('even/00.png'), patches: [0], k: 8 };
  const all = await indexes.search({ ...query, k: 20 });
  const own = all.results.find(({ path, patch }) => path === 'even/00.png' && patch === 0)!;
  expect(own.score).toBeCloseTo(1, 2); // the tiled ones are as near
  expect(all.similarity).toHaveLength(K);
  expect(all.similarity[0]).toBeCloseTo(1, 5);

  const others = await indexes.search({ ...query, sameImage: false });
  expect(new Set(others.results.map(({ path }) => path))).toEqual(new Set(['odd/tiled.png']));
  expect(others.searched).toMatchObject({ patches: 40 * K, is_exact: true, recall: null });
  expect(others.searched.words).toMatch(/640 patches of 40 images of photos \(other images only\).*all compared/);

  const even = await indexes.search({ ...query, sameImage: false, label: 'even' });
  expect(even.results.every(({ label }) => label === 'even')).toBe(true);
  expect(even.results).toHaveLength(8);
  const odd = await indexes.search({ ...query, folder: 'odd/1' });
  expect(odd.results.every(({ path }) => path.startsWith('odd/1'))).toBe(true);

  const within = await indexes.search({ ...query, isWithinImage: true });
  expect(within.results.every(({ path, patch }) => path === 'even/00.png' && patch !== 0)).toBe(true);
  expect(within.results.map(({ score }) => score)).toEqual(
    [...within.similarity.slice(1)].sort((a, b) => b - a).slice(0, 8),
  );
});

test.each(['mean', 'cls'] as const)('whole images like one, by %s: as computed one by one', async (feature) => {
  // The same pixels in other bytes: a file of equal bytes would not be taken into the dataset.
  await sharp(join(folder, 'even/02.png')).png({ compressionLevel: 0 }).toFile(join(folder, 'even/copy.png'));
  await scan();
  const whole = { ...spec, feature };
  const ask = { spec: whole, of: { image: idOf('even/02.png') }, k: 100 };
  await expect(indexes.alike(ask)).rejects.toMatchObject({ kind: 'not-found' });
  expect(await indexes.build(whole)).toMatchObject({ patches: 42, index: { images: 42, is_ready: true } });

  const images = store.images.list(spec.dataset_id);
  const network = new FrozenNetwork(config.model, config.projector, untrainedState(config));
  const rows: number[][] = [];
  for (const { path } of images) {
    const tokens = network.tokens(await centreImage(join(folder, path), SIDE, config.augment));
    const token = (i: number) => [...tokens.slice(32 * i, 32 * (i + 1))];
    const patches = Array.from({ length: K }, (_, i) => token(i + 1));
    rows.push(
      feature === 'cls' ? token(0) : token(0).map((_, d) => patches.reduce((sum, one) => sum + one[d]! / K, 0)),
    );
  }
  network.dispose();
  const middle = rows[0]!.map((_, d) => rows.reduce((sum, row) => sum + row[d]! / rows.length, 0));
  const units = rows.map((row) => {
    const moved = row.map((x, d) => x - middle[d]!);
    return moved.map((x) => x / Math.hypot(...moved));
  });
  const own = images.findIndex(({ path }) => path === 'even/02.png');
  const want = new Map(
    images.map(({ path }, i) => [path, units[i]!.reduce((sum, x, d) => sum + x * units[own]![d]!, 0)]),
  );
  want.delete('even/02.png');

  const { results, searched, path } = await indexes.alike(ask);
  expect(path).toBe('even/02.png');
  expect(new Set(results.map((one) => one.path))).toEqual(new Set(want.keys()));
  for (const one of results) expect(one.score).toBeCloseTo(want.get(one.path)!, 2); // rows are kept in 16 bits
  expect(results.map(({ score }) => score)).toEqual(results.map(({ score }) => score).sort((a, b) => b - a));
  expect(results[0]).toMatchObject({ path: 'even/copy.png', label: 'even' });
  expect(searched).toMatchObject({ images: 41, patches: 0, is_exact: true });
  const what = feature === 'cls' ? 'their CLS tokens' : 'the mean of their patch tokens';
  expect(searched.words).toContain(`41 images of photos were searched by ${what} of the teacher`);

  const filtered = await indexes.alike({ ...ask, label: 'odd', folder: 'odd/1', duplicates: false, k: 3 });
  expect(filtered.results).toEqual(
    results
      .filter((one) => one.path.startsWith('odd/1'))
      .slice(0, 3)
      .map((one) => ({ ...one, score: expect.closeTo(one.score, 5) })),
  );
  expect((await indexes.alike({ ...ask, duplicates: false })).results.map((one) => one.path)).not.toContain(
    'even/copy.png',
  );

  // A file that is in no dataset: the same pixels are as near, and are a copy where the content is the same.
  const outside = join(scratch(), 'outside.png');
  writeFileSync(outside, readFileSync(join(folder, 'even/02.png')));
  const { hash } = images[own]!;
  const near = await indexes.alike({ ...ask, of: { file: outside, hash } });
  expect(near.path).toBeNull();
  expect(
    near.results
      .slice(0, 2)
      .map((one) => one.path)
      .sort(),
  ).toEqual(['even/02.png', 'even/copy.png']);
  expect(near.results[0]!.score).toBeCloseTo(1, 2);
  const others = await indexes.alike({ ...ask, of: { file: outside, hash }, duplicates: false });
  expect(others.results[0]!.path).toBe(results.find((one) => one.path !== 'even/copy.png')!.path);
});

test('an index that is being built is not built twice at once', async () => {
  const first = indexes.build(spec);
  await expect(new PatchIndexes(store).build(spec)).rejects.toMatchObject({
    kind: 'conflict',
    message: 'This index is being built by another process.',
  });
  expect(await first).toMatchObject({ index: { images: 41, is_ready: true } });
  expect(await indexes.build(spec)).toMatchObject({ index: { images: 41, is_ready: true } });
});

test('patches are not asked of whole images, nor the other way', async () => {
  const image = idOf('even/00.png');
  await expect(indexes.search({ spec: { ...spec, feature: 'mean' }, image, patches: [0], k: 1 })).rejects.toThrow(
    '"mean" is of whole images, and has no patches.',
  );
  await expect(indexes.alike({ spec, of: { image }, k: 1 })).rejects.toThrow('"block-1" is of patches');
});

test('copies are left out where that is asked', async () => {
  await indexes.build(spec);
  const query = { spec, image: idOf('even/02.png'), patches: [5], k: 5 };
  expect((await indexes.search(query)).results[0]!.score).toBeGreaterThan(0.99);
  const { results } = await indexes.search({ ...query, duplicates: false });
  expect(results).toHaveLength(5);
  expect(results[0]!.score).toBeLessThan(0.9995);
});

test('the sheet has a place for each answer, and lines for what was searched', async () => {
  await indexes.build(spec);
  const view = await indexes.search({ spec, image: idOf('even/02.png'), patches: [5, 6], k: 5 });
  let sheets = 0;
  const sizeOf = async (own: typeof view) => {
    const png = join(folder, `sheet ${++sheets}.png`);
    await drawRetrieval(own, png);
    const { width, height } = await sharp(png).metadata();
    return [width, height] as const;
  };
  const [width, height] = await sizeOf(view);
  // Of seven tiles the last stands in a second row; words that are long take lines, not width.
  const more = await sizeOf({ ...view, results: [...view.results, view.results[0]!] });
  expect(more).toEqual([width, height + 192 + 44]);
  const long = { ...view.searched, words: 'many words '.repeat(40) };
  const [same, taller] = await sizeOf({ ...view, searched: long });
  expect(same).toBe(width);
  expect(taller).toBeGreaterThan(height);
});

test('every feature can be searched; one that is not there is refused with those that are', async () => {
  for (const feature of ['tokens', 'projector', 'block-2']) {
    const own = { ...spec, feature, part: 'student' as const };
    await indexes.build(own);
    const { results } = await indexes.search({ spec: own, image: idOf('odd/07.png'), patches: [3], k: 1 });
    expect(results[0]).toMatchObject({ path: 'odd/07.png', patch: 3 });
  }
  await expect(indexes.build({ ...spec, feature: 'block-3' })).rejects.toMatchObject({ next: /block-1 to block-2/ });
});

test('building that was stopped goes on; new images are added, changed ones give no answers, files go with the index', async () => {
  const abort = new AbortController();
  const stopped = indexes.build(spec, { signal: abort.signal, onProgress: () => abort.abort() });
  await expect(stopped).rejects.toThrow();
  const index = store.retrieval.list()[0]!;
  expect(index).toMatchObject({ images: 32, is_ready: false });
  const phases: number[] = [];
  await indexes.build(spec, { onProgress: (_done, total) => phases.push(total) });
  expect(phases).toEqual([41 - 32]);

  await put('even/new.png', noise(99));
  await put('even/04.png', noise(77));
  await scan();
  phases.length = 0;
  const report = await indexes.build(spec, { onProgress: (_done, total) => phases.push(total) });
  expect(phases).toEqual([2]);
  expect(report.patches).toBe(43 * K); // the changed image's old patches stay, and are no answers
  const { results, searched } = await indexes.search({ spec, image: idOf('even/new.png'), patches: [9], k: 1 });
  expect(results[0]).toMatchObject({ path: 'even/new.png', patch: 9 });
  expect(searched.images).toBe(42);

  const files = indexFolder(store, index.id);
  expect(readdirSync(files)).toContain('vectors.f16');
  store.checkpoints.delete(spec.checkpoint_id);
  expect(store.retrieval.list()).toEqual([]);
  sweepIndexes(store);
  expect(existsSync(files)).toBe(false);
});

test('an index that a disk changed gives no other answers: it says so, and building it makes anew what is damaged', async () => {
  const whole = await indexes.build(spec);
  expect(whole.repaired).toEqual([]);
  const ask = { spec, image: idOf('even/00.png'), patches: [5], k: 10 };
  const answers = async () =>
    (await indexes.search(ask)).results.map(({ image, patch, score }) => [image, patch, score]);
  const right = await answers();
  const of = indexFolder(store, whole.index.id);
  for (const [name, kind] of [
    ['vectors.f16', 'flip'],
    ['vectors.f16', 'cut'],
    ['vectors.f16', 'gone'],
    ['mean.f32', 'flip'],
    ['mean.f32', 'cut'],
    ['mean.f32', 'gone'],
    ['contents.json', 'flip'],
    ['contents.json', 'cut'],
  ] as const) {
    const path = join(of, name);
    const bytes = readFileSync(path);
    bytes[Math.floor(bytes.length / 2)]! ^= 1;
    if (kind === 'gone') rmSync(path);
    else writeFileSync(path, kind === 'cut' ? bytes.subarray(0, bytes.length >> 1) : bytes);
    indexes.close();
    await expect(answers(), `${name} ${kind}`).rejects.toMatchObject({
      kind: 'bad-file',
      message: 'The index cannot be used.',
    });
    const again = await indexes.build(spec);
    expect(again.repaired, `${name} ${kind}`).toContain(name);
    expect(again).toMatchObject({ patches: whole.patches, index: { is_ready: true, images: whole.index.images } });
    indexes.close();
    expect(await answers()).toEqual(right);
  }
  // One of an older version noted nothing: it is read, and noted.
  rmSync(join(of, 'contents.json'));
  indexes.close();
  expect(await answers()).toEqual(right);
  expect(existsSync(join(of, 'contents.json'))).toBe(true);
  // Built twice, nothing is made anew.
  expect((await indexes.build(spec)).repaired).toEqual([]);
});
