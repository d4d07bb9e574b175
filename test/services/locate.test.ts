import { cpSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { importDataset, locateFolder, rescan } from '../../electron/services/datasets/datasets.ts';
import { Store } from '../../electron/store/store.ts';
import { scratch } from '../store/helpers.ts';

let folder: string;
let store: Store;
const at = (...parts: string[]) => join(folder, ...parts);
beforeEach(async () => {
  folder = scratch();
  store = Store.open(at('workbench.sqlite'));
  for (const [i, name] of ['one/a.png', 'one/b.png', 'two/a.png'].entries()) {
    mkdirSync(at(name, '..'), { recursive: true });
    const background = { r: 80 * i, g: 255 - 80 * i, b: 40 };
    await sharp({ create: { width: 32, height: 32, channels: 3, background } })
      .png()
      .toFile(at(name));
  }
  await importDataset(store, { name: 'set', folders: [at('one'), at('two')] });
});
afterEach(() => store.close());
const statuses = () => store.images.list(1).map(({ folder: place, path, status }) => [place, path, status]);

test('a dataset follows a folder that has moved; its rows stay what they are', async () => {
  const before = store.images.list(1).map(({ id, hash }) => [id, hash]);
  renameSync(at('one'), at('elsewhere'));
  const moved = locateFolder(store, store.datasets.get(1), at('one'), at('elsewhere'));
  expect(moved.folders).toEqual([at('elsewhere'), at('two')]);
  expect(await rescan(store, moved)).toMatchObject({ added: 0, changed: 0, vanished: 0, unchanged: 3 });
  expect(store.images.list(1).map(({ id, hash }) => [id, hash])).toEqual(before);
  expect(statuses().every(([, , status]) => status === 'ok')).toBe(true);
});

test.skipIf(process.platform !== 'linux')('also to a folder whose name is not UTF-8, as a listing has it', () => {
  renameSync(at('one'), Buffer.from(at('caf\xe9'), 'latin1'));
  const moved = locateFolder(store, store.datasets.get(1), at('one'), at('caf\\xe9'));
  expect(moved.folders).toEqual([at('caf\\xe9'), at('two')]);
});

test('what cannot be the folder is refused, and nothing is changed', () => {
  renameSync(at('one'), at('elsewhere'));
  mkdirSync(at('empty'));
  writeFileSync(at('file'), '');
  mkdirSync(at('other'));
  cpSync(at('two', 'a.png'), at('other', 'z.png'));
  const locate = (from: string, to: string) => () => locateFolder(store, store.datasets.get(1), from, to);
  expect(locate(at('one'), at('empty'))).toThrow('None of the images');
  expect(locate(at('one'), at('other'))).toThrow('None of the images');
  expect(locate(at('one'), at('file'))).toThrow('is a file');
  expect(locate(at('one'), at('nowhere'))).toThrow('is not there');
  expect(locate(at('one'), at('two'))).toThrow('already');
  expect(locate(at('three'), at('elsewhere'))).toThrow('has no folder');
  expect(store.datasets.get(1).folders).toEqual([at('one'), at('two')]);
});

test('a folder without a file says so', async () => {
  mkdirSync(at('empty'));
  const words = (name: string, folders: string[]) =>
    importDataset(store, { name, folders }).then(
      () => '',
      (error) => error.why,
    );
  expect(await words('nothing', [at('empty')])).toBe('There are no files.');
  writeFileSync(at('empty', 'notes.txt'), '');
  expect(await words('one', [at('empty')])).toMatch(/^Left out: 1 file of a kind that is not read/);
});
