import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FrozenNetwork } from '../../electron/engine/inference.ts';
import { type OpenProgram, openProgram } from '../../electron/ipc/program.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { centreImage } from '../../electron/services/ground/pictures.ts';
import { fileOf } from '../../electron/store/image-file.ts';
import { HEADS, IMAGES, MODEL, makeLearnedRunOf, stored } from '../e2e/learned-run.ts';
import { callerOf } from './calls.ts';

await loadBackend();
const home = mkdtempSync(join(tmpdir(), 'groups-'));
const programs: OpenProgram[] = [];
const call = callerOf(() => programs[0]!);
let checkpoint = 0;
const K = 5;

beforeAll(async () => {
  checkpoint = await makeLearnedRunOf(home, {
    method: { name: 'swav' },
    model: { ...MODEL, num_heads: HEADS },
    crops: { small: 0 },
    head: { hidden: 16, out: 8 },
    prototypes: { count: K },
    train: { batch_size: 4 },
  });
  programs.push(await openProgram({ home, shell: { kind: 'browser', reveal: () => false } }));
});
afterAll(async () => {
  for (const program of programs) await program.close('stop');
  rmSync(home, { recursive: true });
});

const asked = (more: object = {}) => ({
  checkpoint,
  dataset: 1,
  image: null,
  key: 'prototypes',
  images: 100,
  untrained: false,
  ...more,
});

/** Cosines with prototypes, from the encoder's CLS and the head's tensors, in double precision. */
async function cosinesOf(image: number): Promise<number[]> {
  const { state, file, config } = stored(home, (store) => {
    const row = store.images.get(image);
    const { config } = store.checkpoints.get(checkpoint);
    const state = store.checkpoints.load(checkpoint, 'student');
    return { state, config, file: fileOf(store.datasets.get(row.dataset_id), row) };
  });
  const network = new FrozenNetwork(config.model, undefined, state);
  const tokens = network.tokens(await centreImage(file, config.model.image_size, config.augment));
  network.dispose();
  const of = (name: string) => state.get(name)!.data;
  const times = (name: string, x: ArrayLike<number>, rows: number) =>
    Array.from({ length: rows }, (_, i) =>
      Array.from(x).reduce((sum, v, j) => sum + v * of(`${name}.weight`)[i * x.length + j]!, 0),
    );
  const cls = tokens.subarray(0, config.model.embed_dim);
  const hidden = times('projection_head.0', cls, 16).map((v, i) => {
    const x = v + of('projection_head.0.bias')[i]!;
    const [mean, variance] = [of('projection_head.1.running_mean')[i]!, of('projection_head.1.running_var')[i]!];
    const normal = (x - mean) / Math.sqrt(variance + 1e-5);
    return Math.max(0, normal * of('projection_head.1.weight')[i]! + of('projection_head.1.bias')[i]!);
  });
  const z = times('projection_head.3', hidden, 8).map((v, i) => v + of('projection_head.3.bias')[i]!);
  const c = of('prototypes.weight');
  return Array.from({ length: K }, (_, k) => {
    const row = c.subarray(k * 8, (k + 1) * 8);
    return z.reduce((sum, v, i) => sum + v * row[i]!, 0) / Math.hypot(...z) / Math.hypot(...row);
  });
}

test('each image stands with the prototype that it is nearest to, the nearest of each first', async () => {
  const before = tf.memory().numTensors;
  const view = await call('explore.groups', asked());
  expect(view).toMatchObject({ step: 9, images: IMAGES, rows: IMAGES, groups: K, left_out: [] });
  expect(view.shown.reduce((sum, { count }) => sum + count, 0)).toBe(IMAGES);
  expect(view.used).toBe(view.shown.length);
  const shares = view.shown.map(({ count }) => count / IMAGES);
  expect(view.perplexity).toBeCloseTo(Math.exp(-shares.reduce((sum, p) => sum + p * Math.log(p), 0)), 6);
  for (const { group, count, nearest } of view.shown) {
    expect(nearest.length).toBe(Math.min(8, count));
    expect(nearest.map(({ value }) => value)).toEqual(nearest.map(({ value }) => value).toSorted((a, b) => b - a));
    for (const { image, value } of nearest.slice(0, 2)) {
      const cosines = await cosinesOf(image);
      expect(cosines.indexOf(Math.max(...cosines)) + 1).toBe(group);
      expect(value).toBeCloseTo(Math.max(...cosines), 4);
    }
  }
  const counts = view.shown.map(({ count }) => count);
  expect(counts).toEqual(counts.toSorted((a, b) => b - a));
  expect(tf.memory().numTensors - before).toBeLessThan(200); // the network stays loaded, and nothing else
});

test('the chosen image’s own comes first; fewer images, and the untrained network', async () => {
  const all = await call('explore.groups', asked());
  const last = all.shown.at(-1)!;
  const view = await call('explore.groups', asked({ image: last.nearest[0]!.image }));
  expect(view.shown[0]!.group).toBe(last.group);
  for (const image of [1, 9, 17]) {
    const { nearest } = (await call('explore.groups', asked({ image }))).shown[0]!;
    expect(nearest.map((one) => one.image)).toContain(image);
  }
  expect((await call('explore.groups', asked({ images: 6 }))).images).toBe(6);
  const untrained = await call('explore.groups', asked({ untrained: true }));
  expect(untrained.step).toBe(0);
  expect(untrained.shown[0]!.nearest[0]!.value).not.toBe(all.shown[0]!.nearest[0]!.value);
});

test('what a method does not sort is refused in words', async () => {
  await expect(call('explore.groups', asked({ key: 'lookups' }))).rejects.toMatchObject({
    message: 'SwAV cannot be asked for "lookups" of many images.',
    why: 'It has: prototypes.',
  });
  await expect(
    call('explore.explain', { checkpoint, image: 1, key: 'prototypes', mask: null, draw: 0, untrained: false }),
  ).rejects.toThrow('cannot be asked for "prototypes" of an image');
});
