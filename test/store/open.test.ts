import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { databaseIn, defaultHome } from '../../electron/store/home.ts';
import { said } from '../../electron/store/migrations/0018-said.ts';
import { MIGRATIONS } from '../../electron/store/migrations/index.ts';
import { Store } from '../../electron/store/store.ts';
import { catchError, scratch } from './helpers.ts';

describe('Store.open', () => {
  test('makes the folder and a file with its settings, and opens it again', () => {
    const path = join(scratch(), 'deep/er/workbench.sqlite');
    const store = Store.open(path);
    store.datasets.create({ name: 'a', folders: ['/x'], labels: 'none' });
    store.close();
    const raw = new Database(path);
    const settings = ['auto_vacuum', 'journal_mode', 'user_version', 'integrity_check', 'page_size'];
    expect(settings.map((s) => raw.pragma(s, { simple: true }))).toEqual([2, 'wal', MIGRATIONS.length, 'ok', 16384]);
    raw.close();
    const again = Store.open(path);
    expect(again.datasets.get('a').folders).toEqual(['/x']);
    again.close();
  });

  test('refuses a newer format, and leaves the file alone', () => {
    const path = join(scratch(), 'new.sqlite');
    Store.open(path).close();
    const raw = new Database(path);
    raw.pragma(`user_version = ${MIGRATIONS.length + 1}`);
    raw.close();
    const before = readFileSync(path);
    expect(catchError(() => Store.open(path))).toMatchObject({ kind: 'newer-format' });
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test('a file that is of another format than it says is refused in words, and left alone', () => {
    const path = join(scratch(), 'other.sqlite');
    Store.open(path).close();
    for (let version = 1; version < MIGRATIONS.length; version++) {
      if (MIGRATIONS[version] === said) continue; // changes rows alone, and where it ran it finds none
      const raw = new Database(path);
      raw.pragma(`user_version = ${version}`);
      raw.pragma('wal_checkpoint(TRUNCATE)');
      raw.close();
      expect(
        catchError(() => Store.open(path)),
        String(version),
      ).toMatchObject({ kind: 'bad-file' });
    }
  });

  test('refuses what is not a database, or is another program’s, and leaves it alone', () => {
    const folder = scratch();
    const text = join(folder, 'text');
    writeFileSync(text, 'This is a long enough text that is no database at all. '.repeat(50));
    expect(catchError(() => Store.open(text))).toMatchObject({ kind: 'bad-file' });

    const foreign = join(folder, 'foreign');
    const raw = new Database(foreign);
    raw.exec('CREATE TABLE cookies (a)');
    raw.close();
    const before = readFileSync(foreign);
    expect(catchError(() => Store.open(foreign))).toMatchObject({ kind: 'bad-file' });
    expect(readFileSync(foreign).equals(before)).toBe(true);

    mkdirSync(join(folder, 'directory'));
    expect(catchError(() => Store.open(join(folder, 'directory')))).toMatchObject({ kind: 'bad-file' });
    expect(catchError(() => Store.open(join(text, 'below/a/file')))).toMatchObject({ kind: 'bad-input' });
  });
});

test('defaultHome follows the operating system, and an argument goes before it', () => {
  const home = homedir();
  expect(defaultHome(undefined, {}, 'linux')).toBe(join(home, '.local/share/conmim-workbench'));
  expect(defaultHome(undefined, { XDG_DATA_HOME: '/data' }, 'linux')).toBe('/data/conmim-workbench');
  expect(defaultHome(undefined, {}, 'darwin')).toBe(join(home, 'Library/Application Support/conmim-workbench'));
  expect(defaultHome(undefined, { APPDATA: '/roaming' }, 'win32')).toBe('/roaming/conmim-workbench');
  expect(defaultHome('/mine', { XDG_DATA_HOME: '/data' }, 'linux')).toBe('/mine');
  expect(databaseIn('/mine')).toBe(join('/mine', 'workbench.sqlite'));
});
