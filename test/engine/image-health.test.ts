import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, test } from 'vitest';
import {
  cropFindings,
  foundShare,
  GroupCounts,
  groupFindings,
  overlappingCrops,
} from '../../electron/engine/image-health.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { parseRunConfig } from '../../methods/index.ts';
import type { HealthReport, NetworkHealth, SetHealth } from '../../shared/health.ts';
import { inUse } from '../../shared/statistics.ts';

beforeAll(async () => {
  await loadBackend();
});

const SIDE = 9;
const at = (y: number, x: number) => (y * SIDE + x) * 3;

test('crops are three quarters of a side, of the upper left, and mirrored of the lower right', () => {
  // Between its pixels, too, this picture is what it is at them.
  const value = (image: number, y: number, x: number) => 100 * image + 10 * y + x;
  const images = Float32Array.from({ length: 2 * SIDE * SIDE * 3 }, (_, i) => {
    const pixel = Math.floor(i / 3) % (SIDE * SIDE);
    return value(Math.floor(i / (3 * SIDE * SIDE)), Math.floor(pixel / SIDE), pixel % SIDE);
  });
  const before = tf.memory().numTensors;
  const [first, second] = overlappingCrops(images, SIDE);
  expect(tf.memory().numTensors).toBe(before);
  for (const image of [0, 1]) {
    const offset = image * SIDE * SIDE * 3;
    for (const [y, x] of [
      [0, 0],
      [0, 8],
      [8, 0],
      [8, 8],
      [4, 2],
    ] as const) {
      // biome-ignore format: a pair a pixel
      expect(first[offset + at(y, x)]).toBeCloseTo(value(image, 0.75 * y, 0.75 * x), 3);
      expect(second[offset + at(y, x)]).toBeCloseTo(value(image, 2 + 0.75 * y, 8 - 0.75 * x), 3);
    }
  }
});

test('a query finds its own key, or another is nearer, or as near', () => {
  const rows = Float32Array.of(1, 0, 0, 1, -1, 0);
  expect(foundShare(rows, rows, 2)).toBe(1);
  expect(foundShare(rows, Float32Array.of(1, 0, 1, 0, -1, 0), 2)).toBeCloseTo(1 / 3, 9); // of two alike neither is found
  expect(foundShare(rows, Float32Array.of(0, 1, 1, 0, -1, 0), 2)).toBeCloseTo(1 / 3, 9);
});

test('groups in use are as many as would be used as evenly', () => {
  expect(inUse([3, 3, 3])).toBeCloseTo(1, 9);
  expect(inUse([0, 1, 2, 3])).toBeCloseTo(4, 9);
  expect(inUse([0, 0, 0, 1])).toBeCloseTo(Math.exp(0.75 * Math.log(4 / 3) + 0.25 * Math.log(4)), 9);
});

test('both crops of an image fall together, or not', () => {
  const networks = { student: null as never, teacher: null };
  const flat = (value: number) => new Float32Array(SIDE * SIDE * 3).fill(value);
  const images = Float32Array.from([0, 0, 1, 2].flatMap((value) => [...flat(value)]));
  const counted = (scores: (values: number[]) => number[][]) => {
    const groups = new GroupCounts(
      {
        key: 'groups',
        title: 'groups',
        inUse: 'Groups in use',
        scores: (_, some) => {
          const n = some.length / (SIDE * SIDE * 3);
          return tf.tensor2d(scores(Array.from({ length: n }, (__, i) => some[i * SIDE * SIDE * 3]!)));
        },
      },
      parseRunConfig({}),
    );
    groups.add(networks, images, overlappingCrops(images, SIDE));
    return groups.result();
  };
  // By brightness: a crop has that of its image.
  const byBrightness = counted((values) =>
    values.map((value) => [0, 1, 2, 3].map((group) => -Math.abs(value - group))),
  );
  expect(byBrightness.references).toEqual({ groups_most: 4 });
  expect(byBrightness.figures.groups_agreement).toBe(1);
  expect(byBrightness.figures.groups_by_frequency).toBeCloseTo(0.25 + 1 / 16 + 1 / 16, 9);
  expect(byBrightness.figures.groups_in_use).toBeCloseTo(inUse([0, 0, 1, 2]), 9);
  // Each time it is asked, a group later than before.
  let asked = 0;
  const byTurn = counted((values) => {
    asked++;
    return values.map(() => [0, 1, 2, 3].map((group) => +(group === asked)));
  });
  expect(byTurn.figures).toMatchObject({ groups_agreement: 0, groups_by_frequency: 1 });
});

const set = (over: Partial<SetHealth> = {}): SetHealth => ({
  width: 64,
  rows: 100,
  rank: 30,
  cosine: 0.5,
  uniformity: -2,
  dead: 0,
  singular: [],
  deviations: [],
  ...over,
});
const GOOD = { found: 0.8, alignment: 0.3, groups_in_use: 9, groups_agreement: 0.7, groups_by_frequency: 0.15 };
const network = (figures: NetworkHealth['figures'] = {}, sets: Record<string, SetHealth> = {}): NetworkHealth => ({
  sets: { cls: set(), keys: set(), images: set(), ...sets },
  figures: { ...GOOD, ...figures },
});
const report = (trained: NetworkHealth, untrained = network({ found: 0.3, groups_agreement: 0.4 })) =>
  ({ trained, untrained, images: 100, references: { found_chance: 0.01, groups_most: 50 } }) as unknown as HealthReport;

test('the verdict on crops says what the figures say', () => {
  const found = (trained: NetworkHealth) => cropFindings(report(trained), 'Try it.');
  const levels = (trained: NetworkHealth) => found(trained).map(({ level }) => level);
  expect(levels(network())).toEqual(['good', 'good', 'good']);
  expect(levels(network({ found: 0.25 }))[0]).toBe('note'); // the untrained network finds more
  expect(levels(network({ found: 0.02 }))[0]).toBe('bad');
  expect(found(network({ found: 0.02 }))[0]!.text).toContain('Try it.');
  expect(found(network())[0]!.text).not.toContain('Try it.');
  expect(levels(network({}, { images: set({ cosine: 1 }) }))).toEqual(['good', 'bad', 'good']);
  // As the run's alarm has it: above 0.99 they are one, of CLS tokens that an alarm judges.
  expect(levels(network({}, { cls: set({ cosine: 0.995 }) }))).toEqual(['good', 'good', 'bad']);
  expect(levels(network({}, { cls: set({ cosine: 0.985 }) }))).toEqual(['good', 'good', 'good']);
  expect(levels(network({}, { cls: set({ rank: 1.1 }) }))).toEqual(['good', 'good', 'bad']);
});

test('the verdict on groups says what the figures say', () => {
  const levels = (figures: NetworkHealth['figures']) =>
    groupFindings(report(network(figures)), { key: 'groups', title: 'groups' }, 'Try it.').map(({ level }) => level);
  expect(levels({})).toEqual(['good', 'good']);
  expect(levels({ groups_in_use: 1.2, groups_agreement: 1, groups_by_frequency: 0.97 })).toEqual(['bad', 'bad']);
  expect(levels({ groups_agreement: 0.1 })).toEqual(['good', 'bad']);
});
