import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { probeFiles } from '../../electron/data/probe-pool.ts';
import { labelOf, walkFolders } from '../../electron/data/scan.ts';

vi.setConfig({ testTimeout: 60_000 });

let root: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'conmim-scan-')));
});
afterEach(() => rmSync(root, { recursive: true }));

const put = (path: string, content: string | Buffer = 'x') => {
  const absolute = join(root, path);
  mkdirSync(join(absolute, '..'), { recursive: true });
  writeFileSync(absolute, content);
  return absolute;
};
const pathsOf = async (...folders: string[]) => (await walkFolders(folders)).files.map((f) => f.path);
const windows = process.platform === 'win32';
const isRoot = process.getuid?.() === 0;

describe('walkFolders', () => {
  it('finds images by extension at any depth, sorted, and counts the rest', async () => {
    for (const path of [
      'b/2.JPG',
      'b/1.png',
      'a.webp',
      'b/c/d/e.tiff',
      'a/z.bmp',
      'raw/x.heic',
      'notes.txt',
      'b/data.csv',
    ])
      put(path);
    const walk = await walkFolders([root]);
    expect(walk.files.map((f) => f.path)).toEqual([
      'a.webp',
      'a/z.bmp',
      'b/1.png',
      'b/2.JPG',
      'b/c/d/e.tiff',
      'raw/x.heic',
    ]);
    expect(walk.files.map((f) => f.unsupported)).toEqual([false, false, false, false, false, true]);
    expect(walk.leftOut.kinds).toEqual([
      { kind: '.csv', count: 1 },
      { kind: '.txt', count: 1 },
    ]);
    expect(walk.files[0]).toMatchObject({ folder: 0, bytes: 1, absolute: join(root, 'a.webp') });
  });

  it('skips hidden files and folders', async () => {
    for (const path of ['.hidden.png', '.thumbnails/1.png', 'seen/.trash/1.png', 'seen/1.png']) put(path);
    expect(await pathsOf(root)).toEqual(['seen/1.png']);
  });

  it('leaves out what systems keep beside images, at any depth and in any case', async () => {
    const folders = ['@eaDir', 'a/@EADIR', '#recycle', 'a/$Recycle.Bin/S-1', '~snapshot', 'b/Network Trash Folder'];
    for (const folder of [...folders, 'Temporary Items', 'found.000', 'a/Previews.lrdata/0']) put(`${folder}/1.png`);
    put('a/1.png');
    expect(await pathsOf(root)).toEqual(['a/1.png']);
    expect((await walkFolders([root])).leftOut.system.count).toBe(9);
  });

  it.skipIf(windows)('ends at loops of links, and takes each real folder once, by its real path', async () => {
    put('a/1.png');
    put('z/deep/2.png');
    symlinkSync(root, join(root, 'a', 'up'));
    symlinkSync(join(root, 'a'), join(root, 'a', 'self'));
    symlinkSync(join(root, 'z'), join(root, 'a', 'first'));
    symlinkSync('nowhere', join(root, 'broken.png'));
    expect(await pathsOf(root)).toEqual(['a/1.png', 'broken.png', 'z/deep/2.png']);
  });

  it.skipIf(windows)('follows links to folders and files outside', async () => {
    put('other/deep/1.png');
    put('main/2.png');
    symlinkSync(join(root, 'other'), join(root, 'main', 'linked'));
    symlinkSync(join(root, 'other/deep/1.png'), join(root, 'main', 'copy.png'));
    expect(await pathsOf(join(root, 'main'))).toEqual(['2.png', 'copy.png', 'linked/deep/1.png']);
  });

  it.skipIf(windows)('walks nothing that this program made, by a link either', async () => {
    put('home/own.db');
    put('home/thumbnails/ab/1.webp');
    put('home/mine/2.png');
    put('images/3.png');
    for (const [name, to] of [
      ['all', 'home'],
      ['thumbs', 'home/thumbnails'],
      ['deep', 'home/thumbnails/ab'],
      ['mine', 'home/mine'],
    ] as const)
      symlinkSync(join(root, to), join(root, 'images', name));
    const { files, leftOut } = await walkFolders([join(root, 'images')], { ownFile: 'own.db' });
    expect(files.map(({ path }) => path)).toEqual(['3.png', 'mine/2.png']);
    expect(leftOut.own.paths).toEqual(['all', 'deep', 'thumbs'].map((name) => join(root, 'images', name)));
  });

  it('takes a folder inside another once', async () => {
    put('a/1.png');
    put('2.png');
    const walk = await walkFolders([join(root, 'a'), root]);
    expect(walk.files.map((f) => [f.folder, f.path])).toEqual([
      [0, '1.png'],
      [1, '2.png'],
    ]);
  });

  it.skipIf(windows)('keeps names with unicode, newlines, quotes and 250 letters', async () => {
    const names = ['日本語 ü.png', 'new\nline.png', `q'uo"te%.png`, `${'n'.repeat(246)}.png`, '🐈/𝒸at.png'];
    for (const name of names) put(name);
    expect((await pathsOf(root)).sort()).toEqual([...names].sort());
  });

  it.skipIf(windows || isRoot)('reports a folder that it cannot list (skipped as root, who can list any)', async () => {
    put('open/1.png');
    put('closed/2.png');
    chmodSync(join(root, 'closed'), 0);
    const walk = await walkFolders([root]);
    chmodSync(join(root, 'closed'), 0o700);
    expect(walk.files.map((f) => f.path)).toEqual(['open/1.png']);
    expect(walk.closed).toEqual([join(root, 'closed')]);
  });

  it('ends early when it is told to', async () => {
    for (let i = 0; i < 20; i++) put(`d${i}/1.png`);
    const abort = new AbortController();
    const walk = await walkFolders([root], { signal: abort.signal, onFound: (n) => n >= 3 && abort.abort() });
    expect(walk.files.length).toBeGreaterThanOrEqual(3);
    expect(walk.files.length).toBeLessThan(20);
  });
});

describe('probeFiles', () => {
  const images = async (count: number) => {
    const files: { absolute: string; bytes: number; side: number }[] = [];
    for (let i = 0; i < count; i++) {
      const side = 16 + (i % 40);
      const content = await sharp({
        create: { width: side, height: 20, channels: 3, background: { r: i % 256, g: 9, b: 9 } },
      })
        .png()
        .toBuffer();
      files.push({ absolute: put(`${i}.png`, content), bytes: content.length, side });
    }
    return files;
  };

  it.each([1, 2, 4])('gives each file its own result with %d processes', async (processes) => {
    const files = await images(150);
    const seen = new Set<string>();
    for await (const batch of probeFiles(files, { processes })) {
      for (const { file, result } of batch) {
        expect(result).toMatchObject({ width: file.side, height: 20, format: 'png', reason: null });
        seen.add(file.absolute);
      }
    }
    expect(seen.size).toBe(150);
  });

  it('starts nothing for no files', async () => {
    for await (const _ of probeFiles([])) expect.unreachable();
  });

  it('stops soon after it is told to', async () => {
    const files = await images(200);
    const abort = new AbortController();
    let done = 0;
    for await (const batch of probeFiles(files, { processes: 2, signal: abort.signal })) {
      done += batch.length;
      abort.abort();
    }
    expect(done).toBeGreaterThanOrEqual(1);
    expect(done).toBeLessThanOrEqual(30);
  });
});

it('takes the first folder as the class', () => {
  expect(labelOf('cat/1.png')).toBe('cat');
  expect(labelOf('cat/tabby/1.png')).toBe('cat');
  expect(labelOf('1.png')).toBeNull();
});
