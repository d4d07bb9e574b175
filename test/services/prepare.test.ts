import { spawn } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import sharp from 'sharp';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { decodeImage } from '../../electron/data/decode.ts';
import { type Batch, Loader } from '../../electron/data/loader.ts';
import { downsized, PreparedFiles, preparedRows } from '../../electron/data/prepared.ts';
import { Scratch } from '../../electron/data/scratch.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { measurePrepare, planPrepare, prepareDataset } from '../../electron/services/datasets/prepare.ts';
import { deletePrepared, sweepPrepared } from '../../electron/services/datasets/prepared-files.ts';
import { databaseIn, preparedFile, preparedFolder } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';
import { preparedImages } from '../../electron/trainer/prepared-images.ts';
import { madeOf } from '../../electron/trainer/run-data.ts';
import { imagesOf } from '../../electron/trainer/training-images.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { PRESETS, parseRunConfig } from '../../methods/index.ts';
import { preparedSize } from '../../shared/prepared.ts';
import { scratch } from '../store/helpers.ts';

let home: string;
let folder: string;
let store: Store;
beforeEach(() => {
  home = scratch();
  folder = join(home, 'pictures');
  mkdirSync(folder);
  store = Store.open(databaseIn(home));
  return () => store.close();
});

/** Smooth noise: a picture whose every pixel counts. */
async function picture(name: string, width: number, height: number, seed: number): Promise<void> {
  const small = Uint8Array.from({ length: 12 * 9 * 3 }, (_, i) => (i * (37 + seed * 14) + seed * 101) % 256);
  const image = sharp(small, { raw: { width: 12, height: 9, channels: 3 } }).resize(width, height, { fit: 'fill' });
  await image.toFile(join(folder, name));
}
const load = () => importDataset(store, { name: 'pictures', folders: [folder] });
const set = (size: number) => store.prepared.find(store.datasets.get('pictures').id, size)!;
/** What lies in the files, read by nothing of the program. */
const stored = (path: string, size: number) => {
  const { id } = store.images.list(store.datasets.get('pictures').id).find((row) => row.path === path)!;
  const image = store.prepared.images(set(size).id).find(({ image_id }) => image_id === id)!;
  const bytes = readFileSync(preparedFile(store.path, set(size).id, image.file));
  return { ...image, data: bytes.subarray(image.start, image.start + image.width * image.height * 3) };
};

test('every image is kept as decoding and Pillow’s bicubic filter give it, turned, and never larger', async () => {
  await picture('wide.jpg', 200, 150, 1);
  await picture('tall.png', 90, 400, 2);
  await picture('small.png', 40, 30, 3);
  await sharp(join(folder, 'wide.jpg'))
    .rotate(90)
    .withMetadata({ orientation: 8 })
    .jpeg()
    .toFile(join(folder, 'turned.jpg'));
  await load();
  const summary = await prepareDataset(store, { dataset: 'pictures', size: 64 });
  expect(summary).toMatchObject({ added: 4, failures: 0, freed: 0, set: { images: 4, missing: 0, pid: null } });
  for (const [path, width, height] of [
    ['wide.jpg', 85, 64],
    ['tall.png', 64, 284],
    ['small.png', 40, 30],
    ['turned.jpg', 85, 64],
  ] as const) {
    const { data, ...image } = stored(path, 64);
    expect(image).toMatchObject({ width, height });
    const whole = await decodeImage(join(folder, path));
    expect(Buffer.compare(data, downsized(whole, 64).data)).toBe(0);
    // Independently: sharp's own reduction is by a like filter, and must look the same, the same way up.
    const like = await sharp(join(folder, path)).autoOrient().resize(width, height, { fit: 'fill', kernel: 'cubic' });
    const { data: other } = await like.raw().toBuffer({ resolveWithObject: true });
    const far = data.reduce((sum, value, i) => sum + Math.abs(value - other[i]!), 0) / data.length;
    expect(far, path).toBeLessThan(path === 'small.png' ? 1e-9 : 3);
  }
  const again = await prepareDataset(store, { dataset: 'pictures', size: 64 });
  expect(again).toMatchObject({ added: 0, set: { images: 4 } });
});

test('a known picture, by hand', () => {
  // Pillow's bicubic filter at a quarter, three quarters and five quarters of its support, for half as many pixels:
  // (80 (111 / 128) + 160 (29 / 128) - 240 (9 / 128)) / (121 / 64) = 46.9; and 240 less that at the other side.
  const red = [0, 80, 160, 240, 0, 80, 160, 240];
  const image = { width: 4, height: 2, data: Uint8Array.from(red.flatMap((r) => [r, 0, 9])) };
  const { data, width, height } = downsized(image, 1);
  expect([width, height]).toEqual([2, 1]);
  expect([...data]).toEqual([47, 0, 9, 193, 0, 9]);
});

test('a plan says images, bytes and room, as it then is; a measurement says how fast', async () => {
  for (let i = 0; i < 40; i++) await picture(`${i}.png`, 120 + i, 90, i);
  await load();
  const plan = planPrepare(store, { dataset: 'pictures', size: 48 });
  expect(plan).toMatchObject({ dataset: 'pictures', size: 48, images: 40, ready: 0 });
  expect(plan.free).toBeGreaterThan(0);
  expect(await measurePrepare(store, { dataset: 'pictures', size: 48 })).toBeGreaterThan(0);
  expect(store.prepared.list()).toEqual([]);
  const { set } = await prepareDataset(store, { dataset: 'pictures', size: 48 });
  const bytes = readdirSync(preparedFolder(store.path, set.id)).map(
    (name) => statSync(join(preparedFolder(store.path, set.id), name)).size,
  );
  expect(bytes).toEqual([plan.bytes]);
  expect(planPrepare(store, { dataset: 'pictures', size: 48 })).toMatchObject({ images: 0, ready: 40, bytes: 0 });
});

test('the speed of few images is measured too, and that of none is not known', async () => {
  for (let i = 0; i < 3; i++) await picture(`${i}.png`, 40, 30, i);
  await load();
  expect(await measurePrepare(store, { dataset: 'pictures', size: 32 })).toBeGreaterThan(0);
  await prepareDataset(store, { dataset: 'pictures', size: 32 });
  expect(await measurePrepare(store, { dataset: 'pictures', size: 32 })).toBeNull();
});

test('a process that is killed loses no whole chunk, and the next goes on after it', async () => {
  for (let i = 0; i < 150; i++) await picture(`${String(i).padStart(3, '0')}.jpg`, 640, 480, i);
  await load();
  const chunk = 10 * 64 * 85 * 3;
  const child = spawn(process.execPath, [join(import.meta.dirname, 'prepare-child.ts'), home, '64', String(chunk)]);
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once('close', (_, signal) => resolve(signal)));
  while ((set(64)?.images ?? 0) < 30) await new Promise((resolve) => setTimeout(resolve, 5));
  child.kill('SIGKILL');
  expect(await ended).toBe('SIGKILL');
  const before = store.prepared.images(set(64).id);
  expect(before.length).toBeGreaterThanOrEqual(30);
  expect(before.length).toBeLessThan(150);
  const file = preparedFile(store.path, set(64).id, 1);
  appendFileSync(file, Buffer.alloc(chunk, 77)); // as a kill between writing and entering leaves it
  const { added, set: whole } = await prepareDataset(store, { dataset: 'pictures', size: 64 });
  expect(added).toBe(150 - before.length);
  expect(whole).toMatchObject({ images: 150, missing: 0 });
  expect(store.prepared.images(whole.id)).toEqual(expect.arrayContaining(before));
  expect(statSync(file).size).toBe(150 * 64 * 85 * 3);
  for (const path of ['000.jpg', '029.jpg', '030.jpg', '031.jpg', '149.jpg']) {
    const { data } = downsized(await decodeImage(join(folder, path)), 64);
    expect(Buffer.compare(stored(path, 64).data, data), path).toBe(0);
  }
});

test.skipIf(process.platform !== 'linux')(
  'one that is stopped keeps its set, whatever the clock says; when it is gone another goes on',
  async () => {
    for (let i = 0; i < 150; i++) await picture(`${String(i).padStart(3, '0')}.jpg`, 640, 480, i);
    await load();
    const chunk = 10 * 64 * 85 * 3;
    const child = spawn(process.execPath, [join(import.meta.dirname, 'prepare-child.ts'), home, '64', String(chunk)]);
    onTestFinished(() => void child.kill('SIGKILL'));
    const ended = new Promise((resolve) => child.once('close', resolve));
    while ((set(64)?.images ?? 0) < 30) await new Promise((resolve) => setTimeout(resolve, 5));
    // Not in the midst of a transaction, which would keep everybody from writing.
    const raw = new Database(store.path, { timeout: 0 });
    for (let isFree = false; !isFree; ) {
      child.kill('SIGSTOP');
      while (!/^State:\s+T/m.test(readFileSync(`/proc/${child.pid}/status`, 'utf8')))
        await new Promise((resolve) => setTimeout(resolve, 5));
      try {
        raw.exec('BEGIN IMMEDIATE; ROLLBACK');
        isFree = true;
      } catch {
        child.kill('SIGCONT');
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
    const before = store.prepared.images(set(64).id);
    expect(before.length).toBeLessThan(130);
    for (const hours of [0, 24, -24]) {
      raw.prepare('UPDATE prepared_sets SET heartbeat = heartbeat - ?').run(hours * 3_600_000);
      await expect(prepareDataset(store, { dataset: 'pictures', size: 64 })).rejects.toMatchObject({
        kind: 'conflict',
        why: `Process ${child.pid} does it.`,
      });
    }
    raw.close();
    child.kill('SIGKILL');
    await ended;
    const { added } = await prepareDataset(store, { dataset: 'pictures', size: 64, chunkBytes: chunk });
    expect(added).toBe(150 - before.length);
    for (let i = 0; i < 150; i++) {
      const path = `${String(i).padStart(3, '0')}.jpg`;
      const { data } = downsized(await decodeImage(join(folder, path)), 64);
      expect(Buffer.compare(stored(path, 64).data, data), path).toBe(0);
    }
  },
  120_000,
);

test('canceled, it keeps what is done; another process, a lost folder and a full disk are said', async () => {
  for (let i = 0; i < 90; i++) await picture(`${i}.png`, 80, 60, i);
  await load();
  const stop = new AbortController();
  const onProgress = (done: number) => done > 0 && stop.abort();
  const options = { dataset: 'pictures', size: 32 };
  await expect(prepareDataset(store, { ...options, signal: stop.signal, onProgress })).rejects.toMatchObject({
    kind: 'canceled',
    message: expect.stringMatching(/after \d+ of 90/),
  });
  const { id, images, pid } = set(32);
  expect(images).toBeGreaterThan(0);
  expect(images).toBeLessThan(90);
  expect(pid).toBeNull();

  const first = prepareDataset(store, { ...options, size: 24 });
  await expect(prepareDataset(store, { ...options, size: 24 })).rejects.toMatchObject({ kind: 'conflict' });
  expect(await first).toMatchObject({ added: 90 });

  const other = store.prepared.claim(id, process.ppid)!;
  await expect(prepareDataset(store, options)).rejects.toMatchObject({ kind: 'conflict' });
  expect(() => deletePrepared(store, id)).toThrow(/being prepared/);
  store.prepared.release(id, process.ppid);
  other.remove();

  const { id: _, ...row } = store.images.list(store.datasets.get('pictures').id)[0]!;
  store.images.upsertMany(row.dataset_id, [{ ...row, path: 'vast.png', width: 1e12, height: 32 }]);
  await expect(prepareDataset(store, options)).rejects.toMatchObject({
    kind: 'bad-input',
    message: 'There is not enough room on the disk.',
    why: expect.stringMatching(/^The images take 96 TB, and [\d.]+ [GT]B are free/),
  });
  store.images.upsertMany(row.dataset_id, [{ ...row, path: 'vast.png', status: 'vanished' }]);

  rmSync(folder, { recursive: true });
  await expect(prepareDataset(store, options)).rejects.toMatchObject({ kind: 'data-vanished' });
});

test('files are begun anew at their limit, and a file of which little is left is given back', async () => {
  for (let i = 0; i < 10; i++) await picture(`${i}.png`, 40, 30, i);
  await load();
  const limits = { fileBytes: 3 * 3600, chunkBytes: 3600 };
  const { set: first } = await prepareDataset(store, { dataset: 'pictures', size: 64, ...limits });
  const names = () => readdirSync(preparedFolder(store.path, first.id)).toSorted();
  expect(names()).toEqual(['1.rgb', '2.rgb', '3.rgb', '4.rgb']);
  const place = (path: string) => stored(path, 64).file;
  const files = Map.groupBy(
    [...Array(10).keys()].map((i) => `${i}.png`),
    place,
  );
  // Two of the three in one file change: the third is moved with them to new places, and the file goes.
  const [one, two, kept] = files.get(2)! as [string, string, string];
  for (const [i, path] of [one, two].entries()) await picture(path, 44, 33, 50 + i);
  await load();
  expect(set(64)).toMatchObject({ images: 8, missing: 2 });
  expect(store.prepared.changed(first.id)).toBe(2);
  const again = await prepareDataset(store, { dataset: 'pictures', size: 64, ...limits });
  expect(again).toMatchObject({ added: 2, freed: 2 * 3600, set: { images: 10, missing: 0 } });
  expect(names()).not.toContain('2.rgb');
  for (const path of [one, two, kept]) {
    expect(place(path)).toBeGreaterThan(3);
    expect(Buffer.compare(stored(path, 64).data, (await decodeImage(join(folder, path))).data)).toBe(0);
  }
});

test('what is given back is no more than the disk had, also after a file was lost', async () => {
  for (let i = 0; i < 4; i++) await picture(`${i}.png`, 300, 200, i);
  await load();
  const options = { dataset: 'pictures', size: 256 };
  const pixels = 4 * 300 * 200 * 3;
  const { set: first } = await prepareDataset(store, options);
  const file = preparedFile(store.path, first.id, 1);
  rmSync(file);
  // The next file of this number begins where that one ended: the hole before takes no room, and is not given back.
  expect(await prepareDataset(store, options)).toMatchObject({ added: 4, freed: 0 });
  expect(statSync(file).size).toBe(2 * pixels);
  for (let i = 0; i < 4; i++) await picture(`${i}.png`, 300, 200, 20 + i);
  await load();
  const before = 512 * statSync(file).blocks;
  const { freed } = await prepareDataset(store, options);
  expect(freed).toBeLessThan(1.01 * before); // a disk counts whole blocks
  expect(freed).toBeGreaterThanOrEqual(pixels);
  expect(freed).toBeLessThan(1.1 * pixels);
});

test('giving back space says how far it is, and canceled it leaves every image; the next goes on', async () => {
  for (let i = 0; i < 40; i++) await picture(`${i}.png`, 40, 30, i);
  await load();
  const asked = { dataset: 'pictures', size: 64, fileBytes: 20 * 3600, chunkBytes: 2 * 3600 };
  await prepareDataset(store, asked);
  const changed: string[] = [];
  // In each of the two files more than half changes.
  const inFile = Map.groupBy([...Array(40).keys()], (i) => stored(`${i}.png`, 64).file);
  for (const members of inFile.values()) for (const i of members.slice(0, 12)) changed.push(`${i}.png`);
  for (const path of changed) await picture(path, 44, 33, 50 + Number.parseInt(path, 10));
  await load();
  const control = new AbortController();
  const seen: [number, number][] = [];
  const onProgress = (done: number, total: number, phase: string) => {
    if (phase !== 'giving back space') return;
    seen.push([done, total]);
    if (done === 5) control.abort();
  };
  await expect(prepareDataset(store, { ...asked, onProgress, signal: control.signal })).rejects.toMatchObject({
    kind: 'canceled',
    message: 'Giving back space was canceled after 5 of 16 images were moved.',
    next: 'Prepare again to go on from there.',
  });
  expect(seen).toEqual([1, 2, 3, 4, 5].map((done) => [done, 16]));
  const whole = async () => {
    expect(set(64)).toMatchObject({ images: 40, missing: 0, pid: null });
    for (let i = 0; i < 40; i++) {
      const { data } = await decodeImage(join(folder, `${i}.png`));
      expect(Buffer.compare(stored(`${i}.png`, 64).data, data), `${i}`).toBe(0);
    }
  };
  await whole();
  seen.length = 0;
  const rest = await prepareDataset(store, {
    ...asked,
    onProgress: (...at) => at[2] !== 'preparing' && seen.push([at[0], at[1]]),
  });
  expect(rest).toMatchObject({ added: 0, failures: 0 });
  expect(seen.at(-1)).toEqual([11, 11]); // those that were moved before are not again
  expect(readdirSync(preparedFolder(store.path, rest.set.id))).not.toContain('1.rgb');
  expect(readdirSync(preparedFolder(store.path, rest.set.id))).not.toContain('2.rgb');
  await whole();
});

test('images of a file that is gone, or was cut, are prepared again', async () => {
  for (let i = 0; i < 9; i++) await picture(`${i}.png`, 40, 30, i);
  await load();
  const limits = { fileBytes: 3 * 3600, chunkBytes: 3600 };
  const asked = { dataset: 'pictures', size: 64, ...limits };
  const { set: whole } = await prepareDataset(store, asked);
  rmSync(preparedFile(store.path, whole.id, 1));
  truncateSync(preparedFile(store.path, whole.id, 2), 3600 + 1);
  const again = await prepareDataset(store, asked);
  expect(again).toMatchObject({ added: 6, failures: 0, set: { images: 9, missing: 0 } });
  for (let i = 0; i < 9; i++) {
    const { data } = stored(`${i}.png`, 64);
    expect(Buffer.compare(data, (await decodeImage(join(folder, `${i}.png`))).data), `${i}`).toBe(0);
  }
});

test('pixels that a disk changed, whichever byte, are decoded by a run, which says so, and prepared again', async () => {
  for (let i = 0; i < 8; i++) await picture(`${i}.png`, 40, 30, i);
  await load();
  const asked = { dataset: 'pictures', size: 64, fileBytes: 3 * 3600 };
  const { set: whole } = await prepareDataset(store, asked);
  const sound = await batches(64);
  expect(sound.damaged).toEqual([]);
  for (const seed of [1, 2, 3, 4]) {
    const names = [0, 3, 7].map((i) => `${(i + seed) % 8}.png`);
    for (const [i, name] of names.entries()) {
      const { file, start } = stored(name, 64);
      const path = preparedFile(store.path, whole.id, file);
      const bytes = readFileSync(path);
      bytes[start + ((seed * 977 + i * 1201) % 3600)]! ^= 1 << (seed + i);
      writeFileSync(path, bytes);
    }
    for (const workers of [1, 2]) {
      const read = await batches(64, { workers });
      expect(read.all).toEqual(sound.all);
      expect(read.damaged.sort()).toEqual(names.map((name) => join(folder, name)).sort());
    }
    expect(await prepareDataset(store, asked)).toMatchObject({ damaged: 3, added: 3, set: { images: 8, missing: 0 } });
    expect(await batches(64)).toMatchObject({ all: sound.all, damaged: [] });
    expect(await prepareDataset(store, asked)).toMatchObject({ damaged: 0, added: 0 });
  }
});

test('what an older version prepared has no checksum, and is read as it is', async () => {
  for (let i = 0; i < 3; i++) await picture(`${i}.png`, 40, 30, i);
  await load();
  await prepareDataset(store, { dataset: 'pictures', size: 64 });
  const before = await batches(64);
  const raw = new Database(store.path);
  raw.exec('UPDATE prepared_images SET crc32 = NULL');
  raw.close();
  expect(await batches(64)).toEqual(before);
  expect(await prepareDataset(store, { dataset: 'pictures', size: 64 })).toMatchObject({ damaged: 0, added: 0 });
});

test('a file that changed since the import is not kept under its old content', async () => {
  for (let i = 0; i < 3; i++) await picture(`${i}.png`, 40, 30, i);
  await load();
  await picture('1.png', 50, 30, 9);
  writeFileSync(join(folder, '2.png'), 'no picture');
  const { added, failures, failed } = await prepareDataset(store, { dataset: 'pictures', size: 64 });
  expect([added, failures]).toEqual([1, 2]);
  expect(failed.map(({ why }) => why)).toEqual(
    [1, 2].map((i) => `${join(folder, `${i}.png`)} has changed since it was imported.`),
  );
  await load();
  expect(await prepareDataset(store, { dataset: 'pictures', size: 64 })).toMatchObject({ added: 1, failures: 0 });
});

test('deleted, or gone with its dataset, it leaves no file', async () => {
  await picture('a.png', 40, 30, 1);
  const { dataset } = await load();
  const [one, two] = [
    (await prepareDataset(store, { dataset: 'pictures', size: 16 })).set.id,
    (await prepareDataset(store, { dataset: 'pictures', size: 32 })).set.id,
  ];
  deletePrepared(store, one);
  expect(readdirSync(preparedFolder(store.path))).toEqual([String(two)]);
  expect(() => deletePrepared(store, one)).toThrow(/no prepared set/);
  store.datasets.delete(dataset.id);
  sweepPrepared(store);
  expect(readdirSync(preparedFolder(store.path))).toEqual([]);
});

const config = (prepared: number | null, crops = 1) =>
  runConfigSchema.parse({
    model: { image_size: 16, patch_size: 4 },
    mask: { kind: 'uniform' },
    train: { batch_size: 4, seed: 3, crops_per_image: crops },
    data: { prepared },
  });
async function batches(prepared: number | null, options: { decode?: boolean; crops?: number; workers?: number } = {}) {
  const dataset = store.datasets.get('pictures');
  const images = imagesOf(store, dataset, () => true);
  const found = prepared === null ? null : preparedImages(store, dataset.id, prepared, images);
  const loader = new Loader({
    images,
    roots: [folder],
    config: config(prepared, options.crops),
    workers: options.workers ?? 1,
    prepared: options.decode ? null : (found?.places ?? null),
    ...madeOf(config(prepared, options.crops)),
  });
  const all: Omit<Batch, 'waitMs'>[] = [];
  try {
    while (all.length < 5) {
      const { waitMs: _, ...batch } = await loader.next();
      all.push(batch);
    }
  } finally {
    await loader.close();
  }
  return { all, notice: found?.notice ?? '', places: found?.places.size ?? 0, damaged: [...loader.damaged()] };
}

test('batches of what was prepared are those of the same images decoded, to the bit', async () => {
  for (let i = 0; i < 6; i++) await picture(`${i}.jpg`, 60 + 10 * i, 50, i);
  for (let i = 6; i < 12; i++) await picture(`${i}.png`, 40, 30, i);
  await load();
  await prepareDataset(store, { dataset: 'pictures', size: 32 });
  await prepareDataset(store, { dataset: 'pictures', size: 64 });
  for (const crops of [1, 3]) {
    const read = await batches(32, { crops });
    expect(read).toMatchObject({ notice: '', places: 12 });
    expect((await batches(32, { crops, decode: true })).all).toEqual(read.all);
    expect((await batches(32, { crops, workers: 3 })).all).toEqual(read.all);
    const plain = await batches(null, { crops });
    expect(plain.all).not.toEqual(read.all);
    // No image is larger than 64 on its shorter side: there it changes nothing.
    expect((await batches(64, { crops })).all).toEqual(plain.all);
  }
});

test('what changed, or was never prepared, or whose file is gone or cut, is decoded; the run says how many', async () => {
  for (let i = 0; i < 8; i++) await picture(`${i}.png`, 80, 60, i);
  await load();
  const { set } = await prepareDataset(store, { dataset: 'pictures', size: 32 });
  await picture('0.png', 90, 60, 20);
  await picture('new.png', 80, 60, 21);
  await load();
  const mixed = await batches(32);
  expect(mixed.places).toBe(7);
  expect(mixed.notice).toMatch(
    /^2 of 9 images are not prepared at 32 pixels \(1 .* changed since\).*`conmim prepare --size 32 pictures`/,
  );
  expect(mixed.all).toEqual((await batches(32, { decode: true })).all);
  const dataset = store.datasets.rename(set.dataset_id, "it's mine");
  const { notice } = preparedImages(
    store,
    dataset.id,
    48,
    imagesOf(store, dataset, () => true),
  );
  expect(notice).toContain("`conmim prepare --size 48 'it'\\''s mine'` adds them");
  store.datasets.rename(dataset.id, 'pictures');
  expect((await batches(48)).notice).toMatch(/^9 of 9 images are not prepared at 48 pixels:/);

  const file = preparedFile(store.path, set.id, 1);
  truncateSync(file, 20_000);
  expect((await batches(32)).all).toEqual(mixed.all);
  rmSync(file);
  expect((await batches(32)).all).toEqual(mixed.all);
});

test('the files are read in place of the images: they may be away', async () => {
  for (let i = 0; i < 8; i++) await picture(`${i}.png`, 80, 60, i);
  await load();
  await prepareDataset(store, { dataset: 'pictures', size: 32 });
  const before = await batches(32);
  rmSync(folder, { recursive: true });
  expect((await batches(32)).all).toEqual(before.all);
});

test('a size that fits: 256 for the published recipes, and never below what the network takes', () => {
  const known = PRESETS.filter(({ config }) => ['conmim', 'mae'].includes(config.method!.name));
  const sizes = known.map(({ name, config }) => [name, preparedSize(parseRunConfig(config))]);
  expect(Object.fromEntries(sizes)).toEqual({
    demo: 224,
    'small-cpu': 96,
    'small-gpu': 160,
    'conmim-small': 256,
    'conmim-base': 256,
    'conmim-large': 256,
    'mae-small-cpu': 96,
    'mae-small-gpu': 128,
    'mae-base': 256,
    'mae-large': 256,
  });
  expect(runConfigSchema.safeParse({ data: { prepared: 192 } }).error?.issues[0]?.message).toMatch(/nearest: 224/);
});

test('threads read one mapping of a file; a cut or missing one gives none, and nothing is left open', async () => {
  const path = join(home, 'pixels');
  const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => i % 251);
  writeFileSync(path, bytes);
  const open = () => readdirSync('/proc/self/fd').length;
  const before = process.platform === 'linux' ? open() : 0;
  const files = new PreparedFiles();
  const place = { file: path, start: 66_000, width: 10, height: 100, crc32: null };
  const mapping = files.mappingOf(place);
  expect(mapping?.bytes ?? 70_000).toBe(70_000);
  for (const shared of [mapping, null]) {
    const source = files.bytesOf({ ...place, mapping: shared })!;
    expect(preparedRows(source, place, 7, 3, new Scratch())).toEqual(bytes.subarray(66_210, 66_300));
    expect(files.bytesOf({ ...place, height: 134, mapping: shared })).toBeNull(); // 20 bytes beyond the end
    expect(() => preparedRows(source, place, 100, 40, new Scratch())).toThrow(/past the end/);
  }
  const gone = { ...place, file: join(home, 'gone') };
  expect([files.mappingOf(gone), files.bytesOf({ ...gone, mapping: null })]).toEqual([null, null]);
  files.close();
  expect(files.mappingOf(place)).toBeNull();
  if (process.platform === 'linux') expect(open()).toBe(before);
});
