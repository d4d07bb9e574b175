import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { importDataset, rescan } from '../../electron/services/datasets/datasets.ts';
import { Thumbnails } from '../../electron/services/datasets/thumbnails.ts';
import { Outside } from '../../electron/services/ground/outside.ts';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';

let folder: string;
let images: string;
let store: Store;
let outside: Outside;
let thumbnails: Thumbnails;
const COLOURS = { red: [220, 30, 20], blue: [21, 20, 221], green: [10, 160, 40] } as const;
type Colour = keyof typeof COLOURS;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'thumbnails-'));
  images = join(folder, 'images');
  for (const name of ['images', 'other', 'home', 'made']) mkdirSync(join(folder, name));
  store = Store.open(databaseIn(join(folder, 'home')));
  outside = new Outside();
  thumbnails = new Thumbnails(store, join(folder, 'home'), outside);
  for (const [name, [r, g, b]] of Object.entries(COLOURS))
    await sharp({ create: { width: 80, height: 60, channels: 3, background: { r, g, b } } })
      .png()
      .toFile(made(name as Colour));
});
afterEach(() => {
  thumbnails.close();
  outside.close();
  store.close();
  rmSync(folder, { recursive: true });
});

const made = (colour: Colour) => join(folder, 'made', `${colour}.png`);
const put = (colour: Colour, to = join(images, 'a.png')) => copyFileSync(made(colour), to);
const load = async (name: string, from: string) => {
  const { dataset } = await importDataset(store, { name, folders: [from] });
  return [...store.images.iterate(dataset.id)][0]!;
};
/** What is seen, by its colour. */
async function seen(body: Uint8Array): Promise<Colour> {
  const { data } = await sharp(body).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const distance = (colour: Colour) => COLOURS[colour].reduce((sum, value, i) => sum + Math.abs(value - data[i]!), 0);
  return (Object.keys(COLOURS) as Colour[]).sort((a, b) => distance(a) - distance(b))[0]!;
}

test('a thumbnail is kept by content only where the file still has it', async () => {
  put('red');
  const row = await load('first', images);
  put('blue'); // before it was ever shown
  const shown = await thumbnails.thumbnail(row.id);
  expect(await seen(shown.body)).toBe('blue');
  expect(shown.hash).toBeNull();
  expect((await thumbnails.picture(row.id)).hash).toBeNull();
  put('red');
  await rescan(store, store.datasets.get(row.dataset_id));
  put('red', join(folder, 'other', 'b.png'));
  const other = await load('second', join(folder, 'other'));
  for (const id of [row.id, other.id])
    for (const picture of [await thumbnails.thumbnail(id), await thumbnails.picture(id)]) {
      expect(await seen(picture.body)).toBe('red');
      expect(picture.hash).toBe(row.hash);
    }
});

test('what is kept is shown after the file has gone, and was made once', async () => {
  put('green');
  const row = await load('first', images);
  await thumbnails.thumbnail(row.id);
  rmSync(join(images, 'a.png'));
  expect(await seen((await thumbnails.thumbnail(row.id)).body)).toBe('green');
  await expect(thumbnails.picture(row.id)).rejects.toMatchObject({ kind: 'not-found' });
});

test('an image that became a pipe is missing, and keeps no other from being shown', async () => {
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) put('red', join(images, `${name}.png`));
  const row = await load('first', images);
  put('blue', join(folder, 'other', 'b.png'));
  const other = await load('second', join(folder, 'other'));
  for (const name of readdirSync(images)) {
    rmSync(join(images, name));
    execFileSync('mkfifo', [join(images, name)]);
  }
  const rows = [...store.images.iterate(row.dataset_id)];
  const all = Promise.allSettled(rows.flatMap(({ id }) => [thumbnails.thumbnail(id), thumbnails.picture(id)]));
  expect(await seen((await thumbnails.thumbnail(other.id)).body)).toBe('blue');
  for (const one of await all) expect(one.status).toBe('rejected');
});

test('thumbnails of before, which may show another content, are removed and not shown', async () => {
  put('red');
  const row = await load('first', images);
  const old = join(folder, 'home', 'thumbnails', row.hash.slice(0, 2));
  mkdirSync(old, { recursive: true });
  writeFileSync(join(old, `${row.hash}.webp`), await sharp(made('blue')).webp().toBuffer());
  const again = new Thumbnails(store, join(folder, 'home'), outside);
  expect(await seen((await again.thumbnail(row.id)).body)).toBe('red');
  await expect.poll(() => existsSync(old), { timeout: 30_000 }).toBe(false);
});
