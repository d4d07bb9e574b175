import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { catchError, image, newStore } from './helpers.ts';

const at = (image_id: number, hash: string, start = 0) => ({
  image_id,
  file: 1,
  start,
  width: 2,
  height: 3,
  hash,
  crc32: 7,
});
const me = process.pid;

test('a row counts while its image is usable and as it was; a new one takes its place', () => {
  const { store, dataset } = newStore();
  store.images.upsertMany(
    dataset.id,
    ['a', 'b', 'c'].map((path) => image(path)),
  );
  const [a, b, c] = store.images.list(dataset.id).map(({ id }) => id) as [number, number, number];
  const { id } = store.prepared.ensure(dataset.id, 64);
  expect(store.prepared.ensure(dataset.id, 64).id).toBe(id);
  expect(store.prepared.claim(id, me)).not.toBeNull();
  store.prepared.add({ id, pid: me }, [at(a, 'hash of a'), at(b, 'hash of b', 18)], { file: 1, end: 36 });
  expect(store.prepared.get(id)).toMatchObject({ images: 2, missing: 1, file: 1, end: 36, pid: me });

  store.images.upsertMany(dataset.id, [image('a', { hash: 'another' })]);
  store.images.markVanished([b]);
  expect(store.prepared.get(id)).toMatchObject({ images: 0, missing: 2 });
  expect(store.prepared.changed(id)).toBe(1);
  store.prepared.add({ id, pid: me }, [at(a, 'another', 36), at(c, 'hash of c', 54)], { file: 1, end: 72 });
  expect(store.prepared.images(id)).toEqual([at(a, 'another', 36), at(c, 'hash of c', 54)]);
  store.images.upsertMany(dataset.id, [image('b')]); // the disk is back
  expect(store.prepared.get(id)).toMatchObject({ images: 3, missing: 0 });
  store.prepared.dropFile({ id, pid: me }, 1);
  expect(store.prepared.list()).toMatchObject([{ id, images: 0, missing: 3 }]);
});

test('one process writes at a time, for as long as it holds the lock; a set that is gone is said', () => {
  const { store, path, dataset } = newStore();
  const { id } = store.prepared.ensure(dataset.id, 64);
  const lock = store.prepared.claim(id, 1)!;
  const raw = new Database(path);
  raw.prepare('UPDATE prepared_sets SET heartbeat = heartbeat - 3600000').run();
  raw.close();
  // Another container's process may have the same number.
  for (const pid of [1, 2]) expect(store.prepared.claim(id, pid)).toBeNull();
  expect(catchError(() => store.prepared.add({ id, pid: 2 }, [], { file: 1, end: 0 }))).toMatchObject({
    kind: 'conflict',
  });
  store.prepared.release(id, 2); // not its own
  expect(store.prepared.get(id).pid).toBe(1);
  store.prepared.add({ id, pid: 1 }, [], { file: 4, end: 50 });
  lock.release();
  // Nobody writes to the file of one that is gone: it is gone on with.
  expect(store.prepared.claim(id, 3)).not.toBeNull();
  expect(store.prepared.get(id)).toMatchObject({ pid: 3, file: 4, end: 50 });
  store.datasets.delete(store.datasets.create({ name: 'other', folders: ['/c'], labels: 'none' }).id);
  const drop = () => store.prepared.dropFile({ id, pid: 2 }, 1);
  const remove = () => store.prepared.delete({ id, pid: 2 });
  const beat = () => store.prepared.beat({ id, pid: 2 });
  for (const act of [drop, remove, beat])
    expect(catchError(act)).toMatchObject({ kind: 'conflict', why: 'Process 3 prepares them.' });
  store.prepared.delete({ id, pid: 3 });
  expect(catchError(() => store.prepared.add({ id, pid: 3 }, [], { file: 1, end: 0 }))).toMatchObject({
    kind: 'not-found',
  });
});
