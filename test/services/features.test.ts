import { mkdirSync, mkdtempSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FrozenNetwork } from '../../electron/engine/inference.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { computeMap, mapSubject, storedMap } from '../../electron/services/explore/feature-map.ts';
import { FeatureViews } from '../../electron/services/explore/features.ts';
import { centreImage, centrePng } from '../../electron/services/ground/pictures.ts';
import { attentionSheet, coloursSheet, mapSheet } from '../../electron/services/sheets/feature.ts';
import { Store } from '../../electron/store/store.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';

await loadBackend();
const folder = mkdtempSync(join(tmpdir(), 'features-'));
const store = Store.open(join(folder, 'workbench.sqlite'));
const config = runConfigSchema.parse({
  model: { image_size: 32, patch_size: 8, embed_dim: 16, depth: 2, num_heads: 2 },
  projector: { hidden: 16, out: 8 },
});
const IMAGES = 12;
let dataset = 0;
let checkpoint = 0;
const views = new FeatureViews(store);

/** Left half dark, right half of a colour of its own, so that patches are of two kinds. */
async function drawn(i: number): Promise<void> {
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><rect width="32" height="64" ' +
    `fill="#101010"/><rect x="32" width="32" height="64" fill="hsl(${i * 29} 90% 60%)"/></svg>`;
  const file = join(folder, 'pictures', `class-${i % 3}`, `image ${String(i).padStart(2, '0')}.png`);
  mkdirSync(join(file, '..'), { recursive: true });
  await sharp(Buffer.from(svg)).png().toFile(file);
}

beforeAll(async () => {
  for (let i = 0; i < IMAGES; i++) await drawn(i);
  await importDataset(store, { name: 'halves', folders: [join(folder, 'pictures')], labels: 'folders' });
  dataset = store.datasets.get('halves').id;
  const run = store.runs.create({ dataset_id: dataset, preset: null, config, total_steps: 1, steps_per_epoch: 1 });
  // Another seed than the run's: so the checkpoint is not its untrained network.
  const state = untrainedState({ ...config, train: { ...config.train, seed: 77 } });
  checkpoint = store.checkpoints.save(
    run.id,
    { step: 9, epoch: 1, loss: null, config, state: {} },
    { student: state, teacher: untrainedState({ ...config, train: { ...config.train, seed: 78 } }) },
  ).id;
});
afterAll(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

async function pixels(url: string) {
  const { data, info } = await sharp(Buffer.from(url.split(',')[1]!, 'base64'))
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { data, ...info };
}

describe('colours', () => {
  const ask = (rest = {}) =>
    views.colours({
      checkpoint,
      dataset,
      image: null,
      images: 8,
      part: 'student',
      untrained: false,
      block: null,
      foreground: null,
      ...rest,
    });

  test('one pixel a patch, each component over its whole range; the two kinds of patch differ', async () => {
    const view = await ask();
    expect(view).toMatchObject({ grid: 4, step: 9, block: 2, depth: 2, coloured: 8 * 16, patches: 8 * 16 });
    const all = await Promise.all(view.images.map(({ colours }) => pixels(colours)));
    expect(all.every(({ width, height, channels }) => width === 4 && height === 4 && channels === 4)).toBe(true);
    for (const c of [0, 1, 2]) {
      const values = all.flatMap(({ data }) => Array.from({ length: 16 }, (_, i) => data[4 * i + c]!));
      expect([Math.min(...values), Math.max(...values)]).toEqual([0, 255]);
    }
    // Dark halves are the same in every image, and unlike the bright ones.
    const red = (image: number, patch: number) => all[image]!.data[4 * patch]!;
    expect(Math.abs(red(0, 4) - red(5, 4))).toBeLessThan(3);
    expect(Math.abs(red(0, 4) - red(0, 7))).toBeGreaterThan(30);
    expect(view.explained[0]).toBeGreaterThan(view.explained[1]!);
    expect(view.explained.reduce((a, b) => a + b)).toBeLessThanOrEqual(1.0001);
  });

  test('the chosen image comes first, once; block, part and the untrained network each give others', async () => {
    const last = store.images.list(dataset).at(-1)!.id;
    const view = await ask({ image: last, images: 4 });
    expect(view.images).toHaveLength(4);
    expect(view.images[0]!.id).toBe(last);
    expect(new Set(view.images.map(({ id }) => id)).size).toBe(4);
    const seen = await Promise.all([ask(), ask({ block: 1 }), ask({ part: 'teacher' }), ask({ untrained: true })]);
    expect(new Set(seen.map(({ explained }) => explained[0])).size).toBe(4);
    expect(seen.map(({ step }) => step)).toEqual([9, 9, 9, 0]);
  });

  test('a threshold leaves patches out, both sides together are all, and the rest is transparent', async () => {
    const [upper, lower] = await Promise.all(
      ['upper', 'lower'].map((side) => ask({ foreground: { side, threshold: 0.5 } })),
    );
    expect(upper!.coloured + lower!.coloured).toBe(8 * 16);
    expect(upper!.coloured).toBeGreaterThan(8);
    const clear = (await Promise.all(upper!.images.map(({ colours }) => pixels(colours)))).flatMap(({ data }) =>
      Array.from({ length: 16 }, (_, i) => data[4 * i + 3]!),
    );
    expect(clear.filter((alpha) => alpha === 255)).toHaveLength(upper!.coloured);
    expect(clear.filter((alpha) => alpha === 0)).toHaveLength(lower!.coloured);
    await expect(ask({ foreground: { side: 'upper', threshold: 1 } })).rejects.toMatchObject({ kind: 'bad-input' });
    await expect(ask({ block: 3 })).rejects.toMatchObject({ kind: 'bad-input' });
  });
});

describe('attention', () => {
  test('of CLS and of a patch are the rows of what the network shows', async () => {
    const image = store.images.list(dataset)[3]!;
    const network = new FrozenNetwork(config.model, config.projector, store.checkpoints.load(checkpoint, 'teacher'));
    const input = await centreImage(join(folder, 'pictures', image.path), 32, config.augment);
    const want: Float32Array[] = [];
    network.attention(input, (_, shown) => want.push((shown.dataSync() as Float32Array).slice()));
    network.dispose();
    for (const patch of [null, 0, 15]) {
      const view = await views.attention({ checkpoint, image: image.id, part: 'teacher', untrained: false, patch });
      expect(view).toMatchObject({ grid: 4, depth: 2, heads: 2, step: 9, patch });
      view.blocks.forEach((heads, b) => {
        heads.forEach(({ patches, cls, entropy, distance }, h) => {
          const start = (h * 17 + (patch === null ? 0 : patch + 1)) * 17;
          const row = want[b]!.subarray(start, start + 17);
          expect(cls).toBeCloseTo(row[0]!, 6);
          patches.forEach((p, i) => {
            expect(p / 1e6).toBeCloseTo(row[i + 1]!, 5);
          });
          expect(entropy).toBeGreaterThan(0);
          expect(entropy).toBeLessThanOrEqual(Math.log(17) + 1e-5);
          expect(distance).toBeGreaterThan(0);
          expect(distance).toBeLessThan(3 * Math.SQRT2);
        });
      });
    }
    await expect(
      views.attention({ checkpoint, image: image.id, part: 'teacher', untrained: false, patch: 16 }),
    ).rejects.toMatchObject({ kind: 'bad-input' });
  });
});

describe('a map', () => {
  const ask = (rest = {}) =>
    ({ checkpoint, dataset, part: 'student', untrained: false, pool: 'mean', ...rest }) as const;

  test('is kept, opens at once, and is not shown for other images, features or networks', async () => {
    expect(storedMap(store, ask())).toBeNull();
    const phases = new Set<string>();
    const { images, figures } = await computeMap(store, ask(), (_, __, phase) => phases.add(phase));
    expect(images).toBe(IMAGES);
    expect([...phases]).toEqual(['features', 'neighbours', 'map', 'how far the map can be trusted']);
    const view = storedMap(store, ask())!;
    expect(view).toMatchObject({
      step: 9,
      total: IMAGES,
      unreadable: 0,
      figures,
      labels: ['class-0', 'class-1', 'class-2'],
    });
    expect(view.ids).toEqual(store.images.list(dataset).map(({ id }) => id));
    expect(view.label.map((at) => view.labels[at])).toEqual(store.images.list(dataset).map(({ label }) => label));
    expect(view.x.every(Number.isFinite) && view.y.every(Number.isFinite)).toBe(true);
    for (const other of [{ pool: 'cls' }, { part: 'teacher' }, { untrained: true }] as const)
      expect(storedMap(store, ask(other))).toBeNull();
    await computeMap(store, ask({ untrained: true }), () => {});
    expect(storedMap(store, ask({ untrained: true }))!.x).not.toEqual(view.x);
    expect(storedMap(store, ask())!.x).toEqual(view.x);
  });

  test('one that was cut short goes on with the features that were kept', async () => {
    const { key } = mapSubject(store, ask({ pool: 'cls' }));
    await computeMap(store, ask({ pool: 'cls' }), () => {});
    const whole = storedMap(store, ask({ pool: 'cls' }))!;
    // Planted parts: all features but the last four, every image the same as its opposite.
    const dim = config.model.embed_dim;
    const planted = Float32Array.from({ length: 8 * dim }, (_, i) => Math.sin(i * 1.7));
    store.featureMaps.savePart(key, 0, planted);
    const features: number[] = [];
    await computeMap(store, ask({ pool: 'cls' }), (done, _, phase) => phase === 'features' && features.push(done));
    expect(features).toEqual([12]); // one batch of the last four, not of all
    expect(storedMap(store, ask({ pool: 'cls' }))!.x).not.toEqual(whole.x);
    expect(store.featureMaps.parts(key)).toEqual([]);
  });

  test('files that are gone are left out and counted; new images make it anew', async () => {
    await drawn(IMAGES);
    await importDataset(store, { name: 'halves', folders: [join(folder, 'pictures')], labels: 'folders' });
    expect(storedMap(store, ask())).toBeNull();
    unlinkSync(join(folder, 'pictures/class-0/image 03.png'));
    await computeMap(store, ask(), () => {});
    const view = storedMap(store, ask())!;
    expect(view).toMatchObject({ total: IMAGES + 1, unreadable: 1 });
    expect(view.ids).toHaveLength(IMAGES);
    expect(view.paths).not.toContain('class-0/image 03.png');
    await drawn(3);
  });

  test('of too few images is refused, with words', async () => {
    const few = store.datasets.create({ name: 'few', folders: [folder], labels: 'none' }).id;
    await expect(computeMap(store, ask({ dataset: few }), () => {})).rejects.toMatchObject({
      kind: 'bad-input',
      message: 'A map needs 5 images at least.',
    });
  });
});

test('sheets are drawn of each', async () => {
  const colours = await views.colours({
    checkpoint,
    dataset,
    image: null,
    images: 5,
    part: 'student',
    untrained: false,
    block: null,
    foreground: null,
  });
  const files = ['colours', 'attention', 'map'].map((name) => join(folder, `${name}.png`));
  const picture = (id: number) => centrePng(join(folder, 'pictures', store.images.get(id).path), 32);
  await coloursSheet(
    [
      { name: 'a', view: colours },
      { name: 'b', view: colours },
    ],
    await Promise.all(colours.images.map(({ id }) => picture(id))),
    files[0]!,
  );
  const image = colours.images[0]!.id;
  const attention = await views.attention({ checkpoint, image, part: 'student', untrained: false, patch: 5 });
  await attentionSheet(attention, 'a', files[1]!);
  const map = storedMap(store, { checkpoint, dataset, part: 'student', untrained: false, pool: 'mean' })!;
  await mapSheet(map, 'a', (id) => (id === image ? Promise.resolve(null) : picture(id)), files[2]!);
  const sizes = await Promise.all(files.map((file) => sharp(file).metadata()));
  expect(sizes.map(({ width, height }) => [width, height])).toEqual([
    [1328, 452],
    [760, 126 + 2 * 130 + 12],
    [1600, 1200],
  ]);
  // Not a blank sheet: many colours stand on each.
  for (const file of files) {
    const { data } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const found = new Set<number>();
    for (let i = 0; i < data.length; i += 3) found.add((data[i]! << 16) | (data[i + 1]! << 8) | data[i + 2]!);
    expect(found.size, file).toBeGreaterThan(50);
  }
});
