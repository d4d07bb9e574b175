import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import sharp from 'sharp';
import { expect, onTestFinished, test } from 'vitest';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { createRun } from '../../electron/services/runs/runs.ts';
import { Store } from '../../electron/store/store.ts';
import { replacedNotice } from '../../electron/trainer/replaced.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { trainEmpty as train } from '../harness/empty-training.ts';

const CONFIG = runConfigSchema.parse({
  model: { image_size: 8, patch_size: 4 },
  mask: { kind: 'uniform' },
  data: { workers: 1 },
  optimizer: { warmup_epochs: 0 }, // a warm-up longer than the run has a notice of its own
  train: { batch_size: 4, steps: 9 },
});

async function picture(path: string, seed: number): Promise<void> {
  const noise = Buffer.from(Uint8Array.from({ length: 20 * 20 * 3 }, (_, p) => (p * 37 + seed * 101) % 256));
  await sharp(noise, { raw: { width: 20, height: 20, channels: 3 } })
    .png()
    .toFile(path);
}

/** Twelve images, imported, and a run on them. */
async function begin() {
  const root = mkdtempSync(join(tmpdir(), 'notices-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const folder = join(root, 'pictures');
  mkdirSync(folder);
  const names = Array.from({ length: 12 }, (_, i) => `${String(i).padStart(2, '0')}.png`);
  for (const [i, name] of names.entries()) await picture(join(folder, name), i);
  const path = join(root, 'workbench.sqlite');
  const store = Store.open(path);
  onTestFinished(() => store.close());
  const load = (from = folder) => importDataset(store, { name: 'pictures', folders: [from] });
  await load();
  const { id } = createRun(store, { dataset: 'pictures', config: CONFIG, preset: null });
  return { root, folder, names, path, store, id, load };
}

const kept = (store: Store, id: number) => store.notices.list(id).map(({ step, text }) => [step, text]);
const CHANGED = expect.stringContaining('images of the dataset have changed');

test('a resumed run says that its images are others: also where only their content is, and of one', async () => {
  const { folder, names, store, id, load } = await begin();
  expect(await train(store, id, 2)).toEqual([]);
  expect(await train(store, id, 3)).toEqual([]);
  await picture(join(folder, names[7]!), 99);
  await load();
  expect(await train(store, id, 4)).toEqual([CHANGED]);
  expect(await train(store, id, 5)).toEqual([]);
  for (const [i, name] of names.entries()) await picture(join(folder, name), 200 + i);
  await load();
  expect(await train(store, id, 6)).toEqual([CHANGED]);
  await picture(join(folder, 'more.png'), 500);
  await load();
  expect(await train(store, id, 7)).toEqual([CHANGED]);
  // Each is kept, with the step from which it is so.
  expect(kept(store, id)).toEqual([
    [3, CHANGED],
    [5, CHANGED],
    [6, CHANGED],
  ]);
});

test('the same images from another place are no others; an older checkpoint is compared by what it kept', async () => {
  const { root, folder, names, path, store, id } = await begin();
  await train(store, id, 2);
  renameSync(folder, join(root, 'moved'));
  const raw = new Database(path);
  raw.prepare('UPDATE datasets SET folders = ?').run(JSON.stringify([join(root, 'moved')]));
  expect(await train(store, id, 3)).toEqual([]);

  const hash = createHash('sha256');
  // By row, as older programs did; the order of an import's rows is that in which its files were read.
  for (const row of store.images.list(1).sort((a, b) => a.id - b.id))
    hash.update(`${row.id}\0${join(root, 'moved', row.path)}\0`);
  const older = raw.prepare(`
    UPDATE checkpoints SET crc32 = NULL, state = json_set(json_remove(state, '$.content'), '$.data', ?)`);
  older.run(hash.digest('hex'));
  expect(await train(store, id, 4)).toEqual([]);
  older.run('of other rows');
  raw.close();
  expect(await train(store, id, 5)).toEqual([CHANGED]);
  expect(names).toHaveLength(12);
});

test('images that cannot be read are said once, and kept with their count and first names', async () => {
  const { folder, names, store, id } = await begin();
  for (const at of [1, 8]) writeFileSync(join(folder, names[at]!), 'moved to another disk');
  const said = await train(store, id, 6); // two epochs
  expect(said).toHaveLength(1);
  const [notice, ...others] = store.notices.list(id);
  expect(others).toEqual([]);
  const times = store.metrics.list(id).reduce((sum, { replaced }) => sum + replaced, 0);
  expect(times).toBeGreaterThan(1);
  const [, count, of, often] = /^(\d+) images of (\d+) could not be read, .* (\d+) times: /.exec(notice!.text)!;
  expect([Number(of), Number(often)]).toEqual([12, times]);
  expect(Number(count)).toBe(2);
  expect(notice!.text).toMatch(/: 0\d\.png \(.+\), 0\d\.png \(.+\).* import the folder again/s);
  expect(notice!.step).toBe(6);
  // What comes after a resumption is counted apart: it may be of other files.
  await train(store, id);
  expect(store.notices.list(id)).toHaveLength(2);
  expect(store.notices.counts()).toEqual(new Map([[id, 2]]));
  store.runs.delete(id);
  expect(store.notices.counts()).toEqual(new Map());
});

test('three files are named, and how many more there are', () => {
  const failures = ['a', 'b', 'c', 'd', 'e'].map((name, id) => ({
    id,
    path: `/root/${name}.png`,
    message: 'cut\noff ',
  }));
  const roots = ['/elsewhere', '/root'];
  expect(replacedNotice(failures, 9, 40, roots)).toContain(
    '5 images of 40 could not be read, and others were trained on instead, 9 times: a.png (cut off), b.png (cut off), c.png (cut off), and 2 more. ',
  );
  expect(replacedNotice(failures.slice(0, 1), 1, 40, [])).toContain(
    '1 image of 40 could not be read, and others were trained on instead, once: /root/a.png (cut off). ',
  );
});
