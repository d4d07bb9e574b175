import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { importDataset } from '../../electron/services/datasets/datasets.ts';
import { PatchIndexes } from '../../electron/services/retrieval/patch-index.ts';
import { buildTravel, travel } from '../../electron/services/retrieval/travel.ts';
import { drawTravel } from '../../electron/services/sheets/travel.ts';
import { Store } from '../../electron/store/store.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import type { TravelStation } from '../../shared/contract/retrieval.ts';
import { makeImages } from '../e2e/harness.ts';
import { scratch } from '../store/helpers.ts';

let store: Store;
let indexes: PatchIndexes;
let folder: string;

beforeAll(() => loadBackend());
beforeEach(async () => {
  folder = scratch();
  await makeImages(folder, 12);
  store = Store.open(join(scratch(), 'workbench.sqlite'));
  indexes = new PatchIndexes(store);
  onTestFinished(() => {
    indexes.close();
    store.close();
  });
  await importDataset(store, { name: 'photos', folders: [folder], labels: 'none' });
});

const configOf = (seed: number, patch = 8) =>
  runConfigSchema.parse({
    model: { image_size: 32, patch_size: patch, embed_dim: 32, depth: 2, num_heads: 2 },
    projector: { layers: 1, hidden: 32, out: 24 },
    train: { seed },
  });
/** A run whose checkpoint at each step has the untrained weights of a seed. @returns its checkpoints */
function runOf(seed: number, at: Record<number, number>, patch = 8): number[] {
  const config = configOf(seed, patch);
  const run = store.runs.create({ dataset_id: 1, preset: null, config, total_steps: 99, steps_per_epoch: 1 });
  return Object.entries(at).map(([step, weights]) => {
    const state = untrainedState(configOf(weights, patch));
    const checkpoint = { step: Number(step), epoch: 1, loss: null, config, state: {} };
    return store.checkpoints.save(run.id, checkpoint, { student: state, teacher: state }).id;
  });
}
async function ask(checkpoints: number[], patches: number[], feature = 'tokens') {
  const route = { checkpoints, dataset: 1, part: 'teacher' as const, feature, max_images: 50 };
  await buildTravel(store, indexes, route);
  return travel(store, indexes, { ...route, image: 3, patches, k: 6 });
}
const keys = ({ results }: TravelStation) => results!.map(({ image, patch }) => `${image} ${patch}`);

test('another run stands beside the first at the nearest step: the same weights agree, others as far as they do', async () => {
  // At steps 12 and 38 the second run has the very weights of the first at 10 and 40; at 70 it has others.
  const first = runOf(1, { 10: 101, 40: 102 });
  const second = runOf(2, { 12: 101, 38: 102, 70: 103 });
  const { stations, grid } = await ask([...first, ...second], [5]);
  expect(grid).toBe(4);
  expect(stations.map(({ step }) => step)).toEqual([0, 10, 40, 0, 12, 38, 70]);
  expect(stations.slice(0, 3).map(({ beside }) => beside)).toEqual([null, null, null]);
  expect(stations.slice(3).map(({ beside }) => [beside!.step, beside!.is_untrained])).toEqual([
    [0, true],
    [10, false],
    [40, false],
    [40, false],
  ]);
  for (const [mine, its] of [
    [4, 1],
    [5, 2],
  ] as const) {
    expect(stations[mine]!.beside!.overlap).toBe(1);
    expect(stations[mine]!.results!.map(({ rank_beside }) => rank_beside)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(keys(stations[mine]!)).toEqual(keys(stations[its]!));
  }
  for (const [mine, its] of [
    [3, 0],
    [6, 2],
  ] as const) {
    const [there, here] = [keys(stations[its]!), keys(stations[mine]!)];
    expect(stations[mine]!.beside!.overlap).toBe(here.filter((key) => there.includes(key)).length / 6);
    expect(stations[mine]!.beside!.overlap).toBeLessThan(1);
    expect(stations[mine]!.results!.map(({ rank_beside }) => rank_beside)).toEqual(
      here.map((key) => (there.includes(key) ? 1 + there.indexOf(key) : null)),
    );
  }
});

test('a region and a feature are asked at every station as a search asks them', async () => {
  const checkpoints = runOf(1, { 10: 101, 40: 102 });
  const region = [5, 6, 9, 10];
  const { stations } = await ask(checkpoints, region, 'block-1');
  for (const { checkpoint, is_untrained, results } of stations) {
    const part = is_untrained ? ('untrained' as const) : ('teacher' as const);
    const spec = { checkpoint_id: checkpoint, dataset_id: 1, part, feature: 'block-1', max_images: 50 };
    const view = await indexes.search({ spec, image: 3, patches: region, k: 6, sameImage: false });
    expect(results!.map(({ image, patch, score }) => [image, patch, score])).toEqual(
      view.results.map(({ image, patch, score }) => [image, patch, score]),
    );
  }
  const one = await ask(checkpoints, [5], 'block-1');
  expect(keys(one.stations[1]!)).not.toEqual(keys(stations[1]!));
});

test('on another grid the same part of the picture is asked, and nothing is said of single patches', async () => {
  const first = runOf(1, { 10: 101 });
  const coarse = runOf(2, { 10: 101 }, 16);
  const { stations } = await ask([...first, ...coarse], [10, 11, 14, 15]);
  const other = stations[3]!;
  expect([other.grid, other.beside]).toEqual([
    2,
    { checkpoint: first[0], step: 10, is_untrained: false, overlap: null },
  ]);
  const spec = {
    checkpoint_id: coarse[0]!,
    dataset_id: 1,
    part: 'teacher' as const,
    feature: 'tokens',
    max_images: 50,
  };
  const view = await indexes.search({ spec, image: 3, patches: [3], k: 6, sameImage: false });
  expect(keys(other)).toEqual(view.results.map(({ image, patch }) => `${image} ${patch}`));
});

test('what is not built is said; the picture is there, and the sheet has a row for what is', async () => {
  const [first] = runOf(1, { 10: 101 });
  const [second] = runOf(2, { 10: 102 });
  const route = { dataset: 1, part: 'student' as const, feature: 'projector', max_images: 50 };
  const asked = { ...route, checkpoints: [first!, second!], image: 3, patches: [5], k: 6 };
  const nothing = await travel(store, indexes, asked);
  expect(nothing.stations.map(({ results, beside }) => [results, beside])).toEqual(Array(4).fill([null, null]));
  expect(nothing.picture).toMatch(/^data:image/);
  await buildTravel(store, indexes, { ...route, checkpoints: [second!] });
  const half = await travel(store, indexes, asked);
  expect(half.stations.map(({ results }) => results?.length ?? null)).toEqual([null, null, 6, 6]);
  expect(half.stations[3]!.beside).toBeNull();
  const png = join(folder, 'travel.png');
  await drawTravel(half, { path: 'a.png', patches: [5] }, png);
  const { height } = await sharp(png).metadata();
  await buildTravel(store, indexes, { ...route, checkpoints: [first!] });
  await drawTravel(await travel(store, indexes, asked), { path: 'a.png', patches: [5] }, { path: png, replace: true });
  expect((await sharp(png).metadata()).height).toBeGreaterThan(height! + 2 * 132);
});
