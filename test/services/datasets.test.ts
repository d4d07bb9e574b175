import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { decodeImage } from '../../electron/data/decode.ts';
import { whyUnread } from '../../electron/data/readable.ts';
import {
  datasetFolderMissing,
  type ImportProgress,
  importDataset,
  locateFolder,
  rescan,
} from '../../electron/services/datasets/datasets.ts';
import { prepareDataset } from '../../electron/services/datasets/prepare.ts';
import { Thumbnails } from '../../electron/services/datasets/thumbnails.ts';
import { Outside } from '../../electron/services/ground/outside.ts';
import { fileOf } from '../../electron/store/image-file.ts';
import { Store } from '../../electron/store/store.ts';
import { notImportedParts } from '../../shared/not-imported.ts';
import { tiffOf } from '../data/tiff-maker.ts';

vi.setConfig({ testTimeout: 60_000 });

let root: string;
let store: Store;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'conmim-import-')));
  mkdirSync(join(root, 'images'));
  store = Store.open(join(root, 'conmim.db'));
});
afterEach(() => {
  store.close();
  rmSync(root, { recursive: true });
});

const images = () => join(root, 'images');
const put = (path: string, content: string | Buffer) => {
  const absolute = join(images(), path);
  mkdirSync(join(absolute, '..'), { recursive: true });
  writeFileSync(absolute, content);
  return absolute;
};
/** A PNG whose content follows from `shade`. */
const picture = (shade: number, width = 24, height = 20) =>
  sharp({ create: { width, height, channels: 3, background: { r: shade % 256, g: Math.floor(shade / 256), b: 7 } } })
    .png()
    .toBuffer();
const run = (options: Partial<Parameters<typeof importDataset>[1]> = {}) =>
  importDataset(store, { name: 'set', folders: [images()], ...options });
const rows = (name = 'set') =>
  Object.fromEntries(store.images.list(store.datasets.get(name).id).map((r) => [r.path, r]));

describe('importDataset', () => {
  it('records size, hash, time, label and format of each image, and changes nothing', async () => {
    const file = put('cat/1.png', await picture(1));
    utimesSync(file, 1e9, 1e9);
    put(
      'dog/old/2.jpg',
      await sharp(await picture(2, 40, 30))
        .jpeg()
        .withMetadata({ orientation: 6 })
        .toBuffer(),
    );
    put(
      '3.webp',
      await sharp(await picture(3))
        .webp()
        .toBuffer(),
    );
    put('notes.txt', 'no image');
    const summary = await run({ labels: 'folders' });
    expect(summary).toMatchObject({
      added: 3,
      changed: 0,
      vanished: 0,
      unchanged: 0,
      duplicates: 0,
      ignored: 1,
      skipped: [],
    });
    expect(summary.classes).toEqual([
      { label: 'cat', count: 1 },
      { label: 'dog', count: 1 },
    ]);
    expect(summary.dataset).toMatchObject({
      name: 'set',
      folders: [images()],
      labels: 'folders',
      image_count: 3,
      skipped_count: 0,
    });
    expect(summary.dataset.scanned_at).toBeGreaterThan(0);
    expect(rows()).toMatchObject({
      'cat/1.png': { status: 'ok', width: 24, height: 20, format: 'png', label: 'cat', mtime: 1e12, folder: 0 },
      'dog/old/2.jpg': { status: 'ok', width: 30, height: 40, format: 'jpeg', label: 'dog' },
      '3.webp': { status: 'ok', format: 'webp', label: null },
    });
    expect(rows()['cat/1.png']!.hash).toMatch(/^[0-9a-f]{64}$/);
  });

  it('records every bad file with its reason', async () => {
    put('good.png', await picture(1));
    put('zero.jpg', '');
    put('text.jpg', 'this is text');
    put('tiny.png', await picture(2, 8, 8));
    put(
      'cut.jpg',
      (
        await sharp(await picture(3, 200, 200))
          .jpeg()
          .toBuffer()
      ).subarray(0, -40),
    );
    put('cut.png', (await picture(4, 300, 300)).subarray(0, -20));
    put('camera.heic', 'x');
    put('big.png', await picture(5, 90, 90));
    const summary = await run({ maxPixels: 8000 });
    const reasons = Object.fromEntries(Object.entries(rows()).map(([path, row]) => [path, row.reason]));
    expect(reasons).toEqual({
      'good.png': null,
      'zero.jpg': 'empty',
      'text.jpg': 'unreadable',
      'tiny.png': 'too-small',
      'cut.jpg': 'too-large', // 200 x 200 by its header
      'cut.png': 'too-large',
      'camera.heic': 'unsupported',
      'big.png': 'too-large',
    });
    for (const row of Object.values(rows()))
      expect(row.status === 'skipped').toBe(row.detail !== null && row.reason !== null);
    expect(summary.dataset).toMatchObject({ image_count: 1, skipped_count: 7 });
    // A higher limit opens again what it concerns, and only that.
    const again = await run({ maxPixels: 100_000 });
    expect(again).toMatchObject({ added: 0, changed: 0, unchanged: 8, vanished: 0 });
    expect(rows()).toMatchObject({
      'big.png': { status: 'ok', reason: null },
      'cut.jpg': { reason: 'truncated' },
      'cut.png': { reason: 'truncated' },
    });
    await run({ minSide: 8 });
    expect(rows()['tiny.png']).toMatchObject({ status: 'ok', width: 8 });
  });

  it.skipIf(process.platform === 'win32' || process.getuid?.() === 0)(
    'opens a file again once it may be read (skipped as root, who may read any)',
    async () => {
      put('good.png', await picture(1));
      const closed = put('closed.png', await picture(2));
      chmodSync(closed, 0);
      await run();
      expect(rows()['closed.png']).toMatchObject({
        reason: 'unreadable',
        detail: 'no permission to read the file',
        hash: '',
      });
      chmodSync(closed, 0o600);
      await run();
      expect(rows()['closed.png']).toMatchObject({ status: 'ok' });
    },
  );

  it('finds added, changed, vanished and returned files', async () => {
    for (let i = 0; i < 6; i++) put(`${i}.png`, await picture(i));
    await run();
    const before = rows();
    put('0.png', await picture(100, 50, 50));
    utimesSync(join(images(), '1.png'), 1e9, 1e9); // touched, same content
    rmSync(join(images(), '2.png'));
    put('new/6.png', await picture(6));
    expect(await run()).toMatchObject({ added: 1, changed: 1, vanished: 1, unchanged: 4 });
    const after = rows();
    expect(after['0.png']).toMatchObject({ id: before['0.png']!.id, width: 50, status: 'ok' });
    expect(after['1.png']).toMatchObject({ id: before['1.png']!.id, mtime: 1e12, hash: before['1.png']!.hash });
    expect(after['2.png']).toMatchObject({ id: before['2.png']!.id, status: 'vanished' });
    expect(await run()).toMatchObject({ added: 0, changed: 0, vanished: 0, unchanged: 6, filesPerSecond: 0 });
    put('2.png', await picture(2));
    expect(await rescan(store, store.datasets.get('set'))).toMatchObject({ added: 1, unchanged: 6, vanished: 0 });
    expect(rows()['2.png']).toMatchObject({ id: before['2.png']!.id, status: 'ok' });
  });

  it('does not open what is unchanged', async () => {
    const file = put('a.png', await picture(1));
    utimesSync(file, 1e9, 1e9);
    await run();
    const content = await picture(1);
    writeFileSync(file, Buffer.alloc(content.length)); // same size, and then the same time: nobody looks
    utimesSync(file, 1e9, 1e9);
    expect(await run()).toMatchObject({ unchanged: 1, changed: 0 });
    expect(rows()['a.png']).toMatchObject({ status: 'ok' });
  });

  it('keeps the first of equal files by path, whatever the timing, and lets the next step in', async () => {
    const same = await picture(1);
    for (const path of ['z.png', 'b/x.png', 'b/y.png', 'm.png']) put(path, same);
    for (let i = 2; i < 40; i++) put(`other/${i}.png`, await picture(i));
    expect(await run()).toMatchObject({ duplicates: 3, added: 42, skipped: [{ reason: 'duplicate', count: 3 }] });
    const status = () =>
      Object.fromEntries(['b/x.png', 'b/y.png', 'm.png', 'z.png'].map((p) => [p, rows()[p]!.status]));
    expect(status()).toEqual({ 'b/x.png': 'ok', 'b/y.png': 'skipped', 'm.png': 'skipped', 'z.png': 'skipped' });
    expect(rows()['z.png']!.detail).toBe('same content as b/x.png');
    await rm(join(images(), 'b/x.png'));
    expect(await run()).toMatchObject({ duplicates: 2, vanished: 1 });
    expect(status()).toEqual({ 'b/x.png': 'vanished', 'b/y.png': 'ok', 'm.png': 'skipped', 'z.png': 'skipped' });
    expect(rows()['z.png']!.detail).toBe('same content as b/y.png');
    put('a.png', same); // sorts before: it becomes the first
    await run();
    expect(rows()).toMatchObject({
      'a.png': { status: 'ok' },
      'b/y.png': { status: 'skipped', detail: 'same content as a.png' },
    });
  });

  it.skipIf(process.platform === 'win32')(
    'keeps of equal files one that has a class, then one that is no link, also where an older import chose otherwise',
    async () => {
      for (const [i, path] of ['k/00.png', 'k/01.png', 'm/02.png'].entries()) put(path, await picture(i));
      symlinkSync('k/00.png', join(images(), 'hard.png'));
      linkSync(join(images(), 'k/01.png'), join(images(), 'a.png'));
      mkdirSync(join(images(), 'c'));
      symlinkSync('../m/02.png', join(images(), 'c/link.png')); // another class, by a link
      const asked = { labels: 'folders' as const };
      expect(await run(asked)).toMatchObject({ duplicates: 3, classes: [{ label: 'k' }, { label: 'm' }] });
      const expected = {
        'a.png': { status: 'skipped', detail: 'same content as k/01.png' },
        'c/link.png': { status: 'skipped', detail: 'same content as m/02.png' },
        'hard.png': { status: 'skipped', detail: 'same content as k/00.png' },
        'k/00.png': { status: 'ok', label: 'k', reason: null, detail: null },
        'k/01.png': { status: 'ok', label: 'k', reason: null, detail: null },
        'm/02.png': { status: 'ok', label: 'm', reason: null, detail: null },
      };
      expect(rows()).toMatchObject(expected);
      const ids = () => Object.values(rows()).map(({ id, path }) => `${id} ${path}`);
      const before = ids();
      const swapped = Object.values(rows()).map(({ id: _id, dataset_id: _dataset, ...row }) => ({
        ...row,
        ...(row.status === 'ok'
          ? { status: 'skipped' as const, reason: 'duplicate' as const, detail: 'same content as another' }
          : { status: 'ok' as const, reason: null, detail: null }),
      }));
      store.images.upsertMany(1, swapped);
      expect(await run(asked)).toMatchObject({ unchanged: 6, duplicates: 3 });
      expect(rows()).toMatchObject(expected);
      expect(ids()).toEqual(before);
    },
  );

  it.skipIf(process.platform === 'win32')('keeps of equal files without classes one that is no link', async () => {
    put('z/1.png', await picture(1));
    symlinkSync('z/1.png', join(images(), 'a.png'));
    await run();
    expect(rows()).toMatchObject({ 'a.png': { status: 'skipped' }, 'z/1.png': { status: 'ok' } });
  });

  it('takes several folders, and finds duplicates across them', async () => {
    const second = join(root, 'second');
    mkdirSync(second);
    put('1.png', await picture(1));
    writeFileSync(join(second, '0.png'), await picture(1));
    writeFileSync(join(second, '2.png'), await picture(2));
    expect(await run({ folders: [images(), second, images()] })).toMatchObject({ added: 3, duplicates: 1 });
    expect(rows()['0.png']).toMatchObject({ folder: 1, detail: `same content as ${images()}/1.png` });
    expect(await run({ folders: [second, images()] })).toMatchObject({ unchanged: 3 });
  });

  it.skipIf(process.platform === 'win32')('says of a folder that cannot be asked what the system says', async () => {
    symlinkSync('self', join(root, 'self'));
    put('1.png', await picture(1));
    const { dataset } = await run();
    for (const [folder, why] of [
      [join(root, 'n'.repeat(300)), 'ENAMETOOLONG: name too long'],
      [join(root, 'self', 'below'), /^ELOOP: [^,']*$/],
    ] as const) {
      const asked = { kind: 'bad-input', why: typeof why === 'string' ? why : expect.stringMatching(why) };
      await expect(run({ name: 'odd', folders: [folder] })).rejects.toMatchObject(asked);
      expect(datasetFolderMissing({ folders: [images(), folder] })).toBe(folder);
      expect(() => locateFolder(store, dataset, images(), folder)).toThrow(expect.objectContaining(asked));
    }
    await expect(run({ name: 'odd', folders: [join(root, 'caf\ufffd')] })).rejects.toMatchObject({
      kind: 'not-found',
      next: expect.stringContaining('caf\\xe9'),
    });
  });

  it.skipIf(process.platform === 'win32')(
    'says what a file’s fault is whole, whatever the file is called',
    async () => {
      symlinkSync('a\nb.png', join(images(), 'a\nb.png'));
      symlinkSync("it's.png", join(images(), "it's.png"));
      put('1.png', await picture(1));
      await run();
      for (const name of ['a\nb.png', "it's.png"])
        expect(rows()[name]).toMatchObject({ reason: 'unreadable', detail: expect.stringMatching(/^ELOOP: [^,']*$/) });
      const file = join(images(), 'gone\nfor good.png');
      const error = await decodeImage(file).catch((e: unknown) => e);
      expect(whyUnread(error, { file })).toBe('ENOENT: no such file or directory');
    },
  );

  it.skipIf(process.platform === 'win32')('keeps strange names', async () => {
    const names = ['日本語 ü.png', 'new\nline.png', `q'uo"te%.png`, `${'n'.repeat(246)}.png`];
    for (const [i, name] of names.entries()) put(name, await picture(i));
    await run();
    expect(Object.keys(rows()).sort()).toEqual([...names].sort());
    expect(await run()).toMatchObject({ unchanged: 4 });
  });

  it.skipIf(process.platform !== 'linux')('imports names of any bytes, and finds them again', async () => {
    const named = (folder: string, name: Buffer) => Buffer.concat([Buffer.from(`${folder}/`), name]);
    const gbk = [Buffer.from([0xc3, 0xa8]), Buffer.from([0xb9, 0xb7]), Buffer.from([0xc4, 0xf1])]; // cat, dog, bird
    let shade = 0;
    for (const name of gbk) {
      mkdirSync(named(images(), name));
      for (const file of ['1.png', '2.png'])
        writeFileSync(Buffer.concat([named(images(), name), Buffer.from(`/${file}`)]), await picture(shade++));
    }
    for (const name of ['M\xe4dchen.png', 'M\xf6dchen.png', '\x8e\xca\x90\x5e.png', 'M\\xe4dchen.png'])
      writeFileSync(named(images(), Buffer.from(name, 'latin1')), await picture(shade++));
    const summary = await run({ labels: 'folders' });
    expect(summary).toMatchObject({ added: 10, duplicates: 0, skipped: [], closed: [] });
    expect(summary.classes.map(({ label, count }) => [label, count])).toEqual([
      ['\\xb9\\xb7', 2],
      ['\\xc4\\xf1', 2],
      ['è', 2], // its bytes happen to be UTF-8
    ]);
    expect(Object.keys(rows())).toEqual(
      expect.arrayContaining(['M\\xe4dchen.png', 'M\\xf6dchen.png', 'M\\x5cxe4dchen.png', '\\x8eʐ^.png']),
    );
    expect(await run()).toMatchObject({ added: 0, changed: 0, vanished: 0, unchanged: 10 });
    // What reads images reads them.
    const dataset = store.datasets.get('set');
    for (const row of store.images.list(dataset.id))
      expect(await decodeImage(fileOf(dataset, row))).toMatchObject({ width: 24, height: 20 });
    const outside = new Outside();
    const thumbnails = new Thumbnails(store, join(root, 'home'), outside);
    const { id } = rows()['M\\xe4dchen.png']!;
    expect(await sharp((await thumbnails.thumbnail(id)).body).metadata()).toMatchObject({ format: 'webp', width: 24 });
    thumbnails.close();
    outside.close();
    await prepareDataset(store, { dataset: dataset.id, size: 16 });
    expect(store.prepared.list()).toMatchObject([{ images: 10, missing: 0 }]);
    // A folder of such a name is imported as it is shown.
    const shown = join(images(), '\\xb9\\xb7');
    expect(await run({ name: 'dogs', folders: [shown] })).toMatchObject({ added: 2, dataset: { folders: [shown] } });
  });

  it('counts all that it leaves out, says why, and keeps it with the dataset', async () => {
    put('1.png', await picture(1));
    for (const path of ['notes.txt', 'b/more.txt', 'b/scan.dcm', 'README', '.hidden.png', '.git/2.png'])
      put(path, 'text');
    for (const folder of ['@eaDir', '#recycle', '$RECYCLE.BIN', '__MACOSX', 'lost+found', 'a.lrdata'])
      put(`b/${folder}/deep/3.png`, await picture(3));
    put('slice', Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), Buffer.alloc(20)]));
    put('bench/workbench.sqlite', '');
    put('bench/thumbnails/ab/4.webp', await picture(4));
    put('bench/other/5.png', await picture(5));
    if (process.platform !== 'win32') symlinkSync('nowhere', join(images(), 'gone'));
    const { left_out, ignored, dataset } = await run();
    expect(left_out).toMatchObject({
      kinds: [
        { kind: '.txt', count: 2 },
        { kind: '.dcm', count: 1 },
        { kind: 'DICOM, no extension', count: 1 },
        { kind: 'no extension', count: 1 },
      ],
      system: { count: 6 },
      hidden: { count: 2, paths: [join(images(), '.git'), join(images(), '.hidden.png')] },
      own: { count: 1, paths: [join(images(), 'bench')] },
      ...(process.platform !== 'win32' && { broken: { count: 1 } }),
    });
    expect(ignored).toBe(5);
    expect(Object.keys(rows())).toEqual(['1.png']);
    expect(dataset.left_out).toEqual(left_out);
    expect(store.datasets.get('set').left_out).toEqual(left_out);
    expect(notImportedParts(left_out).join('; ')).toContain('6 folders of previews or deleted files');
    const words = notImportedParts(left_out).join('; ');
    expect(words).toContain(
      '5 files of kinds that are not read (2 .txt, 1 .dcm, 1 DICOM, no extension, 1 no extension)',
    );
  });

  it('names the kinds that are there where none is an image', async () => {
    for (let i = 0; i < 3; i++) put(`${i}.dcm`, 'x');
    put('a.nii.gz', 'x');
    const error = await run().catch((e) => e);
    expect(error).toMatchObject({ kind: 'bad-input', why: expect.stringContaining('3 .dcm, 1 .gz') });
  });

  it('never takes what the program made for images', async () => {
    const home = join(root, 'images', 'workbench');
    put('workbench/thumbnails/ab/1.webp', await picture(1));
    put('workbench/prepared/1/x.png', await picture(2));
    put('workbench/pictures/2.png', await picture(3));
    put('workbench/workbench.sqlite', '');
    put('mine.png', await picture(4));
    expect(await run()).toMatchObject({ added: 1, left_out: { own: { count: 1 } } });
    // The data folder itself: what lies in it beside the program's own.
    expect(await run({ name: 'home', folders: [home] })).toMatchObject({ added: 1, left_out: { own: { count: 2 } } });
    const refused = run({ name: 'thumbs', folders: [join(home, 'thumbnails')] });
    await expect(refused).rejects.toMatchObject({ kind: 'bad-input', next: expect.any(String) });
  });

  it('takes images by their content where their names tell nothing', async () => {
    const jpeg = await sharp(await picture(9))
      .jpeg()
      .toBuffer();
    put('img', await picture(1));
    put('img.jpg ', await picture(2));
    put('img.jpg_large', await picture(3));
    put('img.jpeg~', jpeg);
    put('sign.ppm', Buffer.concat([Buffer.from('P6 16 16 255\n'), Buffer.alloc(768, 9)]));
    put('P1.log2', 'P1 is a text, no bitmap');
    put('BM', 'BMW is one too, and long enough to be a bitmap by its length alone, is it not? It is not.');
    expect(await run()).toMatchObject({ added: 5, skipped: [], ignored: 2 });
  });

  it('opens once more what an older program may have judged otherwise, and only that', async () => {
    put('1.png', await picture(1));
    put('bad.png', (await picture(2, 200, 200)).subarray(0, -20));
    put(
      '2.tif',
      await sharp(await picture(3))
        .tiff()
        .toBuffer(),
    );
    const totals: number[] = [];
    const onProgress = ({ total }: ImportProgress) => totals.push(total);
    const { dataset } = await run();
    const old = Object.values(rows()).map(({ id: _, dataset_id: __, ...row }) => ({ ...row, rules: 0 }));
    store.images.upsertMany(dataset.id, old);
    expect(await run({ onProgress })).toMatchObject({ unchanged: 3, changed: 0 });
    expect(totals.at(-1)).toBe(2);
    totals.length = 0;
    await run({ onProgress });
    expect(totals.every((total) => total === 0)).toBe(true);
  });

  it('notes what of usable files is not seen', async () => {
    const page = { width: 20, height: 20, bands: 4, extra: [0], value: (b: number, x: number) => 40 * b + x };
    put('nir.tif', tiffOf([page]));
    put('stack.tif', tiffOf([page, page]));
    const { notes } = await run();
    expect(notes).toEqual([
      { note: '4 bands: 3 are its colours; one, no alpha, is left out', count: 1 },
      { note: 'the first of 2 pages is read; 4 bands: 3 are its colours; one, no alpha, is left out', count: 1 },
    ]);
  });

  it('keeps what it read when canceled, and goes on from there', async () => {
    // More than eight threads have in hand at once, so that something is left.
    const count = 900;
    for (let i = 0; i < count; i++) put(`${i}.png`, await picture(i % 890));
    const abort = new AbortController();
    const onProgress = ({ phase }: ImportProgress) => phase === 'reading' && abort.abort();
    await expect(run({ signal: abort.signal, onProgress })).rejects.toMatchObject({
      kind: 'canceled',
      next: expect.any(String),
    });
    const id = store.datasets.get('set').id;
    const kept = store.images.list(id);
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.length).toBeLessThan(count);
    expect(store.datasets.get('set').scanned_at).toBeNull();
    const totals: number[] = [];
    const rest = await run({ onProgress: (p) => totals.push(p.total) });
    expect(rest).toMatchObject({ added: count - kept.length, unchanged: kept.length, duplicates: 10 });
    expect(totals.at(-1)).toBe(count - kept.length);
    // As one import that was never canceled.
    await importDataset(store, { name: 'whole', folders: [images()] });
    const plain = (name: string) => Object.values(rows(name)).map(({ id: _, dataset_id: __, ...row }) => row);
    expect(plain('set')).toEqual(plain('whole'));
  });

  it.each(['gone', 'empty'])(
    'stops where its folder is %s meanwhile, and takes no file for a broken one',
    async (how) => {
      const count = 200;
      for (let i = 0; i < count; i++) put(`${i}.png`, await picture(i));
      const { dataset } = await run();
      for (let i = 0; i < count; i++) put(`${i}.png`, await picture(i + 1000));
      const away = join(root, 'away');
      const onProgress = ({ phase }: ImportProgress) => {
        if (phase !== 'reading' || !existsSync(join(images(), '0.png'))) return;
        renameSync(images(), away);
        if (how === 'empty') mkdirSync(images()); // a mount point without its disk
      };
      await expect(rescan(store, dataset, { onProgress })).rejects.toMatchObject({
        kind: 'data-vanished',
        message: expect.stringContaining(images()),
        next: expect.any(String),
      });
      expect(store.images.list(dataset.id).filter(({ status }) => status !== 'ok')).toEqual([]);
      rmSync(images(), { recursive: true, force: true });
      await rename(away, images());
      const { changed, unchanged, skipped } = await rescan(store, dataset);
      expect(unchanged).toBeGreaterThan(0);
      expect({ all: changed + unchanged, skipped }).toEqual({ all: count, skipped: [] });
    },
  );

  it('is canceled before it starts', async () => {
    put('1.png', await picture(1));
    await expect(run({ signal: AbortSignal.abort() })).rejects.toMatchObject({ kind: 'canceled' });
    expect(store.datasets.find('set')).toBeNull();
  });

  it('tells its progress up to the last file', async () => {
    for (let i = 0; i < 80; i++) put(`${i}.png`, await picture(i));
    const seen: ImportProgress[] = [];
    await run({ onProgress: (p) => seen.push({ ...p }) });
    expect(seen.map((p) => p.done)).toEqual(seen.map((p) => p.done).sort((a, b) => a - b));
    expect(seen.at(-1)).toMatchObject({ phase: 'reading', found: 80, done: 80, total: 80 });
    expect(seen.at(-1)!.perSecond).toBeGreaterThan(0);
    expect(seen.at(-1)!.current).toContain(images());
  });

  it('refuses what cannot be imported, and says what to do', async () => {
    const refused = async (options: Parameters<typeof run>[0], kind: string) => {
      const error = await run(options).catch((e) => e);
      expect(error).toMatchObject({ name: 'AppError', kind });
      expect(error.next).not.toBe('');
    };
    await refused({}, 'bad-input'); // an empty folder
    expect(store.datasets.list()).toEqual([]);
    await refused({ folders: [] }, 'bad-input');
    await refused({ name: '  ' }, 'bad-input');
    await refused({ folders: [join(root, 'absent')] }, 'not-found');
    await refused({ folders: [put('file.png', await picture(1))] }, 'bad-input');
    await run();
    mkdirSync(join(root, 'second'));
    await refused({ folders: [join(root, 'second')] }, 'conflict');
    await refused({ labels: 'folders' }, 'conflict');
  });

  it('does not take an emptied or missing folder for vanished images', async () => {
    put('1.png', await picture(1));
    const { dataset } = await run();
    expect(datasetFolderMissing(dataset)).toBeNull();
    await rename(images(), join(root, 'elsewhere'));
    expect(datasetFolderMissing(dataset)).toBe(images());
    await expect(rescan(store, dataset)).rejects.toMatchObject({ kind: 'not-found' });
    mkdirSync(images()); // a mount point without its disk
    await expect(rescan(store, dataset)).rejects.toMatchObject({ kind: 'bad-input' });
    expect(rows()['1.png']).toMatchObject({ status: 'ok' });
  });
});
