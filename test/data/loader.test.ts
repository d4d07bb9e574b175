import { cpSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Batch, Loader, type LoaderOptions, positionAmong } from '../../electron/data/loader.ts';
import { ViewPool } from '../../electron/data/loader-pool.ts';
import type { ViewTask } from '../../electron/data/loader-worker.ts';
import { madeOf } from '../../electron/trainer/run-data.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { PUBLISHED_AA, parseRandAugment } from '../../shared/rand-augment.ts';

const root = mkdtempSync(join(tmpdir(), 'loader-'));
const images = Array.from({ length: 12 }, (_, i) => ({
  id: i + 1,
  path: join(root, `${i}.png`),
  hash: `content ${i}`,
}));
beforeAll(async () => {
  for (const [i, { path }] of images.entries()) {
    const noise = Buffer.from(Uint8Array.from({ length: 40 * 30 * 3 }, (_, p) => (p * 37 + i * 101) % 256));
    await sharp(noise, { raw: { width: 40, height: 30, channels: 3 } })
      .png()
      .toFile(path);
  }
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const config = (over: object = {}) =>
  runConfigSchema.parse({
    model: { image_size: 16, patch_size: 4 },
    mask: { kind: 'uniform' },
    train: { batch_size: 4, seed: 3 },
    ...over,
  });
const options = (over: { config?: ReturnType<typeof config> } & Partial<LoaderOptions> = {}) => ({
  images,
  roots: [root],
  config: config(),
  workers: 1,
  ...over,
  ...madeOf(over.config ?? config()),
});

async function take(loader: Loader, n: number): Promise<Batch[]> {
  const batches: Batch[] = [];
  try {
    while (batches.length < n) batches.push(await loader.next());
  } finally {
    await loader.close();
  }
  return batches;
}
const content = ({ waitMs: _, ...batch }: Batch) => batch;

test('batches do not depend on the number of threads, nor on where one begins', async () => {
  const one = (await take(new Loader(options()), 7)).map(content);
  const three = (await take(new Loader(options({ workers: 3 })), 7)).map(content);
  const later = (await take(new Loader(options({ start: { epoch: 1, sample: 4, samples: 12 }, workers: 2 })), 3)).map(
    content,
  );
  expect(three).toEqual(one);
  expect(later).toEqual(one.slice(4));
  expect(one.map((b) => b.epoch)).toEqual([0, 0, 0, 1, 1, 1, 2]);
  for (const epoch of [0, 1]) {
    const ids = one.filter((b) => b.epoch === epoch).flatMap((b) => [...b.imageIds]);
    expect(ids.toSorted((a, b) => a - b)).toEqual(images.map((i) => i.id));
  }
  expect(one[0]!.views.student!).not.toEqual(one[1]!.views.student!);
  expect(one[0]!.views.student!.every(Number.isFinite)).toBe(true);
  expect(one[0]!.mask.reduce((a, b) => a + b)).toBe(4 * 12); // 3/4 of 16 patches each
});

test('batches do not depend on the numbers of rows, nor on where the folder lies', async () => {
  const one = (await take(new Loader(options()), 4)).map(content);
  const places = new Map(images.map(({ id }, i) => [id + 500, i]));
  const elsewhere = `${root}-elsewhere`;
  cpSync(root, elsewhere, { recursive: true });
  try {
    const moved = images.map(({ path, hash, id }) => ({ id: id + 500, path: path.replace(root, elsewhere), hash }));
    const two = (await take(new Loader(options({ images: moved, roots: [elsewhere] })), 4)).map(content);
    const renumbered = two.map((batch) => ({ ...batch, imageIds: batch.imageIds.map((id) => places.get(id)! + 1) }));
    expect(renumbered).toEqual(one);
  } finally {
    rmSync(elsewhere, { recursive: true });
  }
});

test('RandAugment changes the student alone, and the same whatever the threads and where one begins', async () => {
  const randAugment = parseRandAugment(PUBLISHED_AA);
  const views = config({ views: { student: 'weak', teacher: 'same' } });
  const plain = (await take(new Loader(options({ config: views })), 7)).map(content);
  const one = (await take(new Loader(options({ config: views, randAugment })), 7)).map(content);
  const three = (await take(new Loader(options({ config: views, randAugment, workers: 3 })), 7)).map(content);
  const later = (
    await take(new Loader(options({ config: views, randAugment, start: { epoch: 1, sample: 4, samples: 12 } })), 3)
  ).map(content);
  expect(three).toEqual(one);
  expect(later).toEqual(one.slice(4));
  expect(one.map(({ views: { teacher } }) => teacher)).toEqual(plain.map(({ views: { teacher } }) => teacher));
  expect(one.map(({ views: { student } }) => student)).not.toEqual(plain.map(({ views: { student } }) => student));
  const seed = config({ views: { student: 'weak', teacher: 'same' }, train: { batch_size: 4, seed: 4 } });
  const [other] = await take(new Loader(options({ config: seed, randAugment })), 1);
  expect(other!.views.student!).not.toEqual(one[0]!.views.student!);
});

test('several crops of an image differ; few images are gone round', async () => {
  const few = images.slice(0, 2);
  const [batch] = await take(new Loader(options({ images: few })), 1);
  expect([...batch!.imageIds].sort()).toEqual([1, 1, 2, 2]);
  const views = [0, 1, 2, 3].map((slot) => batch!.views.student!.slice(slot * 768, (slot + 1) * 768).join());
  expect(new Set(views).size).toBe(4);
  // Each of the crops of an epoch once, in one epoch after the other.
  const crops = await take(
    new Loader(options({ config: config({ train: { batch_size: 4, crops_per_image: 3 } }) })),
    9,
  );
  const counts = Map.groupBy(
    crops.flatMap(({ imageIds }) => [...imageIds]),
    (id) => id,
  );
  expect([...counts.values()].map((same) => same.length)).toEqual(Array(12).fill(3));
  expect(crops.map(({ epoch }) => epoch)).toEqual(Array(9).fill(0));
  expect(crops.at(-1)!.next).toEqual({ epoch: 1, sample: 0, samples: 36 });
});

test('an epoch is every image once, whatever the batch: what does not fill one opens the next', async () => {
  for (const [count, batch_size, batches] of [
    [11, 4, 11],
    [5, 12, 5],
    [3, 8, 6],
  ] as const) {
    const some = images.slice(0, count);
    const made = config({ train: { batch_size, seed: 3 } });
    const all = (await take(new Loader(options({ images: some, config: made })), batches)).map(content);
    const seen = all.flatMap(({ imageIds }) => [...imageIds]);
    for (let epoch = 0; epoch < batch_size; epoch++) {
      const own = seen.slice(epoch * count, (epoch + 1) * count);
      if (own.length === count) expect(own.toSorted((a, b) => a - b)).toEqual(some.map(({ id }) => id));
    }
    expect(all.map(({ epoch }) => epoch)).toEqual(all.map((_, i) => Math.floor(((i + 1) * batch_size - 1) / count)));
    const { next } = all[1]!;
    expect(next).toEqual({
      epoch: Math.floor((2 * batch_size) / count),
      sample: (2 * batch_size) % count,
      samples: count,
    });
    const later = await take(new Loader(options({ images: some, config: made, start: next, workers: 2 })), 3);
    expect(later.map(content)).toEqual(all.slice(2, 5));
  }
});

test('other images than there were do not change how far an epoch is', () => {
  expect(positionAmong(48, { epoch: 3, sample: 7, samples: 48 })).toEqual({ epoch: 3, sample: 7, samples: 48 });
  expect(positionAmong(96, { epoch: 3, sample: 24, samples: 48 })).toEqual({ epoch: 3, sample: 48, samples: 96 });
  expect(positionAmong(5, { epoch: 3, sample: 47, samples: 48 })).toEqual({ epoch: 3, sample: 4, samples: 5 });
});

test('an image that fails is replaced, counted and named', async () => {
  const broken = join(root, 'broken.png');
  writeFileSync(broken, 'no picture');
  const some = [...images.slice(0, 7), { id: 99, path: broken, hash: 'broken' }];
  const run = async (workers: number) => {
    const loader = new Loader(options({ images: some, workers }));
    const batches = await take(loader, 2);
    return { batches: batches.map(content), failures: loader.failures() };
  };
  const { batches, failures } = await run(1);
  expect(failures.map((f) => f.path)).toEqual([broken]);
  expect(batches[0]!.replaced + batches[1]!.replaced).toBe(1);
  expect(batches.flatMap((b) => [...b.imageIds])).not.toContain(99);
  expect((await run(2)).batches).toEqual(batches);
});

test('a few broken images end nothing, though all of a small batch, or most of a larger one, may be among them', async () => {
  const gone = (n: number) =>
    Array.from({ length: n }, (_, i) => ({ id: 300 + i, path: join(root, `gone ${i}.png`), hash: `gone ${i}` }));
  for (const [batch_size, n] of [
    [2, 3],
    [4, 4],
  ] as const) {
    const some = [...images, ...gone(n)];
    const loader = new Loader(options({ images: some, config: config({ train: { batch_size, seed: 3 } }) }));
    const batches = await take(loader, 150);
    expect(Math.max(...batches.map(({ replaced }) => replaced))).toBeGreaterThan(batch_size / 2);
    expect(batches.flatMap(({ imageIds }) => [...imageIds]).filter((id) => id >= 300)).toEqual([]);
    expect(loader.failures()).toHaveLength(n);
  }
});

test('most images broken, or gone: an error that names one', async () => {
  const most = (ids: number[], path: (id: number) => string) => {
    const some = ids.map((id) => ({ id, path: path(id), hash: `content ${id}` }));
    return take(new Loader(options({ images: [...some, images[0]!] })), 2);
  };
  const ids = [201, 202, 203, 204, 205, 206];
  const broken = join(root, 'most-broken.png');
  writeFileSync(broken, 'no picture');
  await expect(most(ids, () => broken)).rejects.toMatchObject({
    kind: 'bad-file',
    why: expect.stringContaining(broken),
  });
  await expect(most(ids, (id) => join(root, 'nothing', `${id}.png`))).rejects.toMatchObject({
    kind: 'data-vanished',
    why: expect.stringContaining('nothing'),
  });
});

test('a thread that dies is an error, and so is every later call', async () => {
  const pool = new ViewPool(1);
  const { augment, train } = config();
  const none = null as unknown as ViewTask; // a fault of the program, not of a file: the thread cannot go on
  const request = {
    config: { augment, train },
    size: null,
    randAugment: null,
    tasks: [none],
    views: [],
  };
  await expect(pool.send(0, request)).rejects.toMatchObject({ kind: 'internal' });
  await expect(pool.send(0, request)).rejects.toMatchObject({ kind: 'internal' });
  await pool.close();
});

test('closing, or a signal, wakes who waits and leaves no thread', async () => {
  const threads = () => process.getActiveResourcesInfo().filter((name) => name === 'MessagePort' || name === 'Worker');
  const before = threads().length;
  const stop = new AbortController();
  const endings = [(loader: Loader) => void loader.close(), () => stop.abort()];
  for (const end of endings) {
    const loader = new Loader(options({ workers: 2, signal: stop.signal }));
    await loader.next();
    expect(threads().length).toBeGreaterThan(before);
    const waiting = Promise.all([loader.next(), loader.next(), loader.next(), loader.next(), loader.next()]);
    end(loader);
    await expect(waiting).rejects.toMatchObject({ kind: 'canceled' });
    await expect(loader.next()).rejects.toMatchObject({ kind: 'canceled' });
    await loader.close();
    expect(threads().length).toBe(before);
  }
});

test('a folder that is gone is said to be gone', async () => {
  const loader = new Loader(options());
  await loader.next();
  const away = `${root}-away`;
  renameSync(root, away);
  try {
    await expect(take(loader, 20)).rejects.toMatchObject({
      kind: 'data-vanished',
      message: expect.stringContaining(root),
    });
  } finally {
    renameSync(away, root);
  }
});

test('the queue is bounded, and waiting is measured', async () => {
  const loader = new Loader(options({ config: config({ data: { queue: 2 } }) }));
  const first = await loader.next();
  expect(first.waitMs).toBeGreaterThan(0);
  expect(loader.queued).toBe(2);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(loader.queued).toBe(2);
  expect((await loader.next()).waitMs).toBeLessThan(first.waitMs);
  await loader.close();
});

test('each view that is masked has masks of its own, and the first those that it has alone', async () => {
  const alone = options();
  const [student, teacher] = alone.views;
  const both = { ...alone, views: [student!, { ...teacher!, isMasked: true }] };
  const [one, two] = await Promise.all(
    [alone, both].map(async (how) => (await take(new Loader({ ...how, workers: 1 }), 3)).map(({ mask }) => mask)),
  );
  for (const [i, mask] of one!.entries()) {
    expect(mask.length).toBe(4 * 16);
    expect(two![i]!.length).toBe(2 * mask.length);
    expect(two![i]!.subarray(0, mask.length)).toEqual(mask);
    const second = two![i]!.subarray(mask.length);
    expect(second).not.toEqual(mask);
    expect(second.reduce((a, b) => a + b)).toBe(4 * 12);
  }
});
