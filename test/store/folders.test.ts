import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeFolder } from '../../electron/files/folders.ts';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'folders-'));
});
afterEach(() => rmSync(folder, { recursive: true }));
const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

test('a folder is made with those above it; where none can be, that is thrown, and nothing loops', () => {
  const deep = join(folder, 'a', 'b', 'c');
  makeFolder(deep, 0o700);
  makeFolder(deep);
  expect(modeOf(deep)).toBe('700');
  expect(modeOf(join(folder, 'a'))).toBe('700');
  writeFileSync(join(folder, 'file'), '');
  symlinkSync(join(folder, 'nowhere'), join(folder, 'dangling'));
  symlinkSync(join(folder, 'a'), join(folder, 'link'));
  makeFolder(join(folder, 'link', 'd'));
  expect(existsSync(join(folder, 'a', 'd'))).toBe(true);
  for (const not of ['file', 'file/below', 'dangling', 'dangling/below'])
    expect(() => makeFolder(join(folder, not)), not).toThrow();
});

test.skipIf(process.platform !== 'linux')(
  'a file system that answers ENOENT to all is no place, and is left soon',
  () => {
    for (const not of ['/proc/nope', '/proc/exports/a', '/proc/a/b/c/d']) {
      expect(() => makeFolder(not), not).toThrow();
      expect(() => Store.open(databaseIn(not)), not).toThrow(expect.objectContaining({ kind: 'bad-input' }));
    }
  },
);

describe.skipIf(process.platform === 'win32')('a data folder is for its owner alone', () => {
  const everything = (home: string) =>
    readdirSync(home, { withFileTypes: true }).map((entry) => [
      entry.name,
      modeOf(join(home, entry.name)),
      entry.isDirectory() ? '700' : '600',
    ]);

  test('from the start', () => {
    const home = join(folder, 'new', 'home');
    const store = Store.open(databaseIn(home));
    expect(modeOf(home)).toBe('700');
    expect(readdirSync(home).some((name) => name.endsWith('-wal'))).toBe(true);
    for (const [name, mode, wanted] of everything(home)) expect(mode, name).toBe(wanted);
    store.close();
  });

  test('one that an earlier version made, too, with all that lies beside the database', () => {
    const home = join(folder, 'old');
    Store.open(databaseIn(home)).close();
    for (const name of ['thumbnails', 'prepared', 'indexes', 'desktop']) mkdirSync(join(home, name), { mode: 0o755 });
    writeFileSync(join(home, 'window.json'), '{}', { mode: 0o644 });
    chmodSync(home, 0o755);
    chmodSync(databaseIn(home), 0o644);
    const other = Store.open(databaseIn(home));
    expect(modeOf(home)).toBe('700');
    for (const [name, mode, wanted] of everything(home)) expect(mode, name).toBe(wanted);
    other.close();
  });

  test('what is not the program’s stays as it is, and so does a folder that holds such', () => {
    const home = join(folder, 'shared');
    mkdirSync(home, { mode: 0o755 });
    writeFileSync(join(home, 'letter.txt'), '', { mode: 0o644 });
    chmodSync(home, 0o755);
    Store.open(databaseIn(home)).close();
    expect(modeOf(home)).toBe('755');
    expect(modeOf(join(home, 'letter.txt'))).toBe('644');
    expect(modeOf(databaseIn(home))).toBe('600');
  });

  test('the database of another program is not touched', () => {
    const home = join(folder, 'foreign');
    mkdirSync(home, { mode: 0o755 });
    writeFileSync(databaseIn(home), 'a text that is no database'.repeat(100), { mode: 0o644 });
    expect(() => Store.open(databaseIn(home))).toThrow();
    expect(modeOf(databaseIn(home))).toBe('644');
    expect(modeOf(home)).toBe('755');
  });
});
