import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, expect, test } from 'vitest';
import { firstBatch } from '../../electron/bench/replay.ts';
import { Network } from '../../electron/engine/network.ts';
import { readSafetensors } from '../../electron/formats/safetensors.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { untrainedSource } from '../../electron/trainer/training.ts';
import type { RunConfig } from '../../shared/config.ts';
import type { HealthReport, NetworkHealth, SetHealth } from '../../shared/health.ts';
import { parseRunConfig } from '../index.ts';
import { ours } from './config.ts';
import { explain } from './explain.ts';
import { health } from './health.ts';
import { type DenseCLBatch, type DenseCLConfig, step } from './step.ts';

await loadBackend();
const folder = join(import.meta.dirname, 'fixture/vit-1');
const { config, states, batch } = await firstBatch<DenseCLConfig, DenseCLBatch>(folder);
const whole = config as unknown as RunConfig;
const MOMENTUM = 0.97; // of fixture.json
const student = new Network(step.student(config), states.student);
const teacher = new Network(
  step.teacher(config)!,
  new Map(
    [...states.teacher].map(([name, { shape, data }]) => [
      name,
      { shape, data: data.map((v, i) => MOMENTUM * v + (1 - MOMENTUM) * states.student.get(name)!.data[i]!) },
    ]),
  ),
);
afterAll(() => [student, teacher].forEach((network) => void network.dispose()));

test('matches of an image are those that the published code finds', () => {
  const { shape, data } = readSafetensors(join(folder, 'results.step0.safetensors')).tensors.get('match')!;
  const [images, K] = shape as [number, number];
  const size = batch.views.first.length / images;
  for (let b = 0; b < images; b++) {
    const [first, second] = [batch.views.first, batch.views.second].map((all) => all.slice(b * size, (b + 1) * size));
    const asked = { pixels: new Uint8Array(size), image: first!, mask: new Uint8Array(K), teacher };
    const before = tf.memory().numTensors;
    let said: ReturnType<typeof explain.matches>;
    tf.tidy(() => {
      said = explain.matches(student, { ...asked, batch: { first: first!, second: second! } }, whole);
    });
    // Matrices of products are made once, and kept.
    if (b > 0) expect(tf.memory().numTensors).toBe(before);
    const { maps, figures } = said!;
    const want = Array.from(data.subarray(b * K, (b + 1) * K));
    expect(maps.match).toEqual(want.map((place) => place + 1));
    expect(figures.distinct).toBe(new Set(want).size);
    expect(figures.same).toBe(want.filter((place, i) => place === i).length);
    expect(Math.max(...(maps.cosine as number[]))).toBeLessThanOrEqual(1 + 1e-6);
  }
});

const [SIDE, PATCH] = [16, 4];
const networkOf = (position: 'none' | 'absolute') => {
  const whole = parseRunConfig({
    method: { name: 'densecl' },
    model: { image_size: SIDE, patch_size: PATCH, embed_dim: 16, depth: 1, num_heads: 2, position },
    contrast: { queue: 64 },
    neck: { hidden: 8, out: 4 },
  });
  return { whole, network: new Network(step.student(ours(whole)), untrainedSource(whole)) };
};
/** Every patch in a colour of its own, and so alike from the left and from the right. */
const coloured = Float32Array.from({ length: SIDE * SIDE * 3 }, (_, i) => {
  const [y, x] = [Math.floor(i / 3 / SIDE), Math.floor(i / 3) % SIDE];
  const patch = Math.floor(y / PATCH) * (SIDE / PATCH) + Math.floor(x / PATCH);
  return Math.sin((patch + 1) * (2 + (i % 3)));
});
/** The right half is the left one from the right. */
const symmetric = coloured.map((_, i) => {
  const [row, x, c] = [Math.floor(i / 3 / SIDE), Math.floor(i / 3) % SIDE, i % 3];
  return Math.sin((row * SIDE + Math.min(x, SIDE - 1 - x) + 1) * (2 + c));
});

test.each([
  [
    'without positions each patch is found in the mirror image',
    'none',
    coloured,
    { mirrored: 1, same_place: 0, distinct: 1 },
  ],
  [
    'an image that is its own mirror image has its patches where they are',
    'absolute',
    symmetric,
    { mirrored: 0, same_place: 1, distinct: 1 },
  ],
] as const)('health: %s', (_, position, image, want) => {
  const { whole, network } = networkOf(position);
  const measure = health.measure(whole);
  const two = new Float32Array(2 * image.length);
  two.set(image);
  two.set(image, image.length);
  const networks = { student: network, teacher: network };
  const masks = [new Uint8Array(16), new Uint8Array(16)];
  health.measure(whole).add(networks, { images: two, masks }); // matrices of products are made once, and kept
  const before = tf.memory().numTensors;
  measure.add(networks, { images: two, masks });
  const { figures, references, sets } = measure.result();
  expect(figures).toMatchObject(want);
  expect(references.one_of_all).toBe(1 / 16);
  expect(sets.patches!.features).toHaveLength(2 * 16 * 16);
  expect(tf.memory().numTensors).toBe(before);
  network.dispose();
});

test('the verdict says what the figures say', () => {
  const set = (over: Partial<SetHealth> = {}): SetHealth => ({
    width: 64,
    rows: 1000,
    rank: 30,
    cosine: 0.5,
    uniformity: -2,
    dead: 0,
    singular: [],
    deviations: [],
    ...over,
  });
  const network = (
    figures: NetworkHealth['figures'] = {},
    sets: Partial<Record<'patches' | 'images', SetHealth>> = {},
  ): NetworkHealth => ({
    sets: { patches: set(), images: set(), ...sets },
    figures: { mirrored: 0.4, same_place: 0.1, distinct: 0.5, place_share: 0.3, ...figures },
  });
  const levels = (trained: NetworkHealth) =>
    health
      .findings(
        {
          trained,
          untrained: network({ mirrored: 0.1, same_place: 0.2 }),
          references: { one_of_all: 1 / 64, place_share_chance: 0.01 },
        } as unknown as HealthReport,
        parseRunConfig({ method: { name: 'densecl' } }),
      )
      .map(({ level }) => level);
  expect(levels(network())).toEqual(['good', 'good', 'good', 'good', 'good', 'note']);
  expect(levels(network({ mirrored: 0.1, same_place: 0.5 }))[0]).toBe('bad');
  expect(levels(network({ mirrored: 0.02, same_place: 0.01 }))[0]).toBe('bad');
  expect(levels(network({ distinct: 1 / 64 }))[1]).toBe('bad');
  expect(levels(network({}, { patches: set({ rank: 1.2 }) }))[3]).toBe('bad');
  expect(levels(network({}, { images: set({ cosine: 1 }) }))[2]).toBe('bad');
  expect(levels(network({}, { patches: set({ dead: 40 }) }))[4]).toBe('bad');
});
