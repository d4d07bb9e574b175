import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { leftOut } from '../../electron/store/migrations/0014-left-out.ts';
import { MIGRATIONS } from '../../electron/store/migrations/index.ts';
import { migrate } from '../../electron/store/open.ts';
import { Store } from '../../electron/store/store.ts';
import { newStore, scratch } from './helpers.ts';

test('what an import left out is kept with the dataset', () => {
  const { store, dataset } = newStore();
  expect(dataset.left_out).toBeNull();
  const none = { count: 0, paths: [] };
  const left = {
    ...{ kinds: [{ kind: '.txt', count: 2 }], closed: { count: 1, paths: ['/a/x'] } },
    ...{ system: none, hidden: none, own: none, special: none, broken: none },
  };
  store.datasets.markScanned(dataset.id, left);
  expect(store.datasets.list()[0]!.left_out).toEqual(left);
});

test.skipIf(process.platform === 'win32')(
  'migration 14: rows have no note and no rules, and names that look like escaped bytes are told apart',
  () => {
    const path = join(scratch(), 'ten');
    const db = new Database(path);
    db.pragma('foreign_keys = ON');
    migrate(db, MIGRATIONS.indexOf(leftOut));
    const insert = db.prepare(`
      INSERT INTO images (id, dataset_id, folder, path, bytes, mtime, hash, width, height, format, label, status)
      VALUES (?, 1, 0, ?, 1, 1.5, 'h', 1, 1, 'png', ?, 'ok')`);
    db.exec(
      `INSERT INTO datasets (id, name, folders, labels, created_at) VALUES (1, 'd', '["/x","/M\\\\xe4"]', 'folders', 1)`,
    );
    insert.run(1, 'cat/1.png', 'cat');
    insert.run(2, 'M\\xe4/1.png', 'M\\xe4');
    migrate(db);
    expect(db.pragma('user_version', { simple: true })).toBe(MIGRATIONS.length);
    db.close();
    const store = Store.open(path);
    expect(store.datasets.get(1)).toMatchObject({ left_out: null, folders: ['/x', '/M\\x5cxe4'] });
    expect(store.images.get(1)).toMatchObject({ path: 'cat/1.png', label: 'cat', note: null, rules: 0 });
    expect(store.images.get(2)).toMatchObject({ path: 'M\\x5cxe4/1.png', label: 'M\\x5cxe4' });
    store.close();
  },
);
