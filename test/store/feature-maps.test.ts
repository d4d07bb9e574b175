import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { CONFIG, image, newStore, state } from './helpers.ts';

const map = (seed: number) => ({
  ids: Int32Array.from([seed, seed + 1]),
  places: Float32Array.from([0.1, seed, -3, 4]),
  result: { total: seed, unreadable: 0, left_out: [], figures: { k: 1, n: 2, sample: 2, trustworthiness: 1, kept: 1 } },
});

test('a map comes back as it was kept, for its network and images alone; a new one takes its place', () => {
  const { store, dataset, run } = newStore();
  const { id } = store.checkpoints.save(
    run.id,
    { step: 5, epoch: 0, loss: null, config: CONFIG, state: {} },
    { student: state(1) },
  );
  const key = { run_id: run.id, dataset_id: dataset.id, pool: 'mean' as const, images: 'a' };
  const trained = { ...key, checkpoint_id: id, network: 'student' as const };
  const untrained = { ...key, checkpoint_id: null, network: 'untrained' as const };
  store.featureMaps.save(trained, map(1));
  store.featureMaps.save(untrained, map(2));
  store.featureMaps.save(untrained, map(3));
  expect(store.featureMaps.get(trained)).toMatchObject(map(1));
  expect(store.featureMaps.get(untrained)).toMatchObject(map(3));
  expect(store.featureMaps.get({ ...trained, images: 'b' })).toBeNull();
  expect(store.featureMaps.get({ ...trained, pool: 'cls' })).toBeNull();
  expect(store.featureMaps.get({ ...trained, network: 'teacher' })).toBeNull();
  // With its checkpoint a map goes; the untrained network's stays while the run does.
  store.checkpoints.delete(id);
  expect([store.featureMaps.get(trained), store.featureMaps.get(untrained)]).toMatchObject([null, map(3)]);
  store.runs.delete(run.id);
  expect(store.featureMaps.get(untrained)).toBeNull();
});

test('parts of a map come back in order, and go when the map is kept', () => {
  const { store, dataset, run } = newStore();
  const key = {
    run_id: run.id,
    dataset_id: dataset.id,
    checkpoint_id: null,
    network: 'untrained' as const,
    pool: 'cls' as const,
    images: 'a',
  };
  store.featureMaps.savePart(key, 2, Float32Array.from([3, Number.NaN]));
  store.featureMaps.savePart(key, 0, Float32Array.from([1, 2]));
  expect(store.featureMaps.parts(key)).toEqual([
    { start: 0, features: Float32Array.from([1, 2]) },
    { start: 2, features: Float32Array.from([3, Number.NaN]) },
  ]);
  expect(store.featureMaps.parts({ ...key, images: 'b' })).toEqual([]);
  store.featureMaps.save(key, map(1));
  expect(store.featureMaps.parts(key)).toEqual([]);
});

test('features that a disk changed, or of an older version, are not gone on with, nor those after them', () => {
  const { store, dataset, run, path } = newStore();
  const key = {
    run_id: run.id,
    dataset_id: dataset.id,
    checkpoint_id: null,
    network: 'untrained' as const,
    pool: 'cls' as const,
    images: 'a',
  };
  const starts = () => store.featureMaps.parts(key).map(({ start }) => start);
  for (const start of [0, 2, 4]) store.featureMaps.savePart(key, start, Float32Array.from([start, 1]));
  expect(starts()).toEqual([0, 2, 4]);
  const raw = new Database(path);
  raw.exec(`UPDATE feature_parts SET data = x'0000004100008040' WHERE start = 2`);
  expect(starts()).toEqual([0]);
  raw.exec('UPDATE feature_parts SET crc32 = NULL');
  expect(starts()).toEqual([]);
  raw.close();
});

test('a sample is even over the usable images, and is all of them where they are few', () => {
  const { store, dataset } = newStore();
  const names = Array.from({ length: 100 }, (_, i) => String(i).padStart(3, '0'));
  store.images.upsertMany(
    dataset.id,
    names.flatMap((name) => [image(name), image(`${name} bad`, { status: 'skipped', reason: 'empty' })]),
  );
  const paths = (most: number) => store.images.sample(dataset.id, most).map(({ path }) => path);
  expect(paths(1000)).toEqual(names);
  expect(paths(100)).toEqual(names);
  expect(paths(1)).toEqual(['000']);
  for (const most of [7, 30, 64, 99]) {
    const some = paths(most).map(Number);
    expect(some).toHaveLength(most);
    const gaps = some.slice(1).map((at, i) => at - some[i]!);
    expect(Math.max(...gaps) - Math.min(...gaps)).toBeLessThanOrEqual(1);
    expect(some.at(-1)! + Math.max(...gaps)).toBeGreaterThanOrEqual(99);
  }
});
