import { describe, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import type { HealthReport, NetworkHealth, SetHealth } from '../../electron/services/health/health.ts';
import {
  alignment,
  placeShare,
  positionShortcut,
  relativeDeviations,
  toUnitRows,
  uniformity,
} from '../../electron/services/health/measures.ts';
import { findingsOf } from '../../electron/services/health/verdict.ts';
import { featureHealth } from '../../electron/trainer/feature-health.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import type { RunConfigInput } from '../../shared/config.ts';

const WIDTH = 8;
function gaussian(rows: number, name: string, used = WIDTH): Float32Array {
  const random = stream(3, 0, 0, name);
  const out = new Float32Array(rows * WIDTH);
  for (let i = 0; i < out.length; i++)
    if (i % WIDTH < used) out[i] = Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  return toUnitRows(out, WIDTH);
}
const same = (rows: number) => toUnitRows(new Float32Array(rows * WIDTH).fill(1), WIDTH);

describe('measures of health', () => {
  test('features that fill the sphere: full rank, even deviations; half of the dimensions: half the rank, dead ones', () => {
    const even = featureHealth(gaussian(4000, 'even'), WIDTH);
    expect(even.rank).toBeGreaterThan(7.9);
    for (const d of relativeDeviations(even.variance)) expect(Math.abs(d - 1)).toBeLessThan(0.06);
    const half = featureHealth(gaussian(4000, 'half', 4), WIDTH);
    expect(half.rank).toBeGreaterThan(3.9);
    expect(half.rank).toBeLessThan(4.1);
    expect(relativeDeviations(half.variance).filter((d) => d < 0.1)).toHaveLength(4);
    expect(half.singular).toEqual([...half.singular].sort((a, b) => b - a));
  });

  test('uniformity: 0 for one point, a known value for two, a plain loop for many', () => {
    expect(uniformity(same(50), WIDTH)).toBeCloseTo(0, 6);
    // Two opposite points: |x - y|² is 4.
    expect(uniformity(Float32Array.of(1, 0, -1, 0), 2)).toBeCloseTo(-8, 6);
    const features = gaussian(200, 'many');
    let [sum, pairs] = [0, 0];
    for (let i = 0; i < 200; i++)
      for (let j = i + 1; j < 200; j++) {
        let squared = 0;
        for (let d = 0; d < WIDTH; d++) squared += (features[i * WIDTH + d]! - features[j * WIDTH + d]!) ** 2;
        sum += Math.exp(-2 * squared);
        pairs++;
      }
    expect(uniformity(features, WIDTH)).toBeCloseTo(Math.log(sum / pairs), 5);
  });

  test('alignment: 0 with itself, 4 with the opposite, about 2 with what has nothing in common', () => {
    const features = gaussian(3000, 'queries');
    expect(alignment(features, features, WIDTH)).toBe(0);
    expect(
      alignment(
        features,
        features.map((v) => -v),
        WIDTH,
      ),
    ).toBeCloseTo(4, 4);
    expect(Math.abs(alignment(features, gaussian(3000, 'keys'), WIDTH) - 2)).toBeLessThan(0.08);
  });

  test('keys that are a function of place alone: share 1; of nothing of it: chance', () => {
    const [K, images] = [16, 100];
    const places = gaussian(K, 'places');
    const ofPlace = new Float32Array(K * WIDTH * images);
    for (let i = 0; i < images; i++) ofPlace.set(places, i * K * WIDTH);
    expect(placeShare(ofPlace, K, WIDTH)).toBeCloseTo(1, 5);
    const chance = (K - 1) / (K * images - 1);
    expect(Math.abs(placeShare(gaussian(K * images, 'free'), K, WIDTH) - chance)).toBeLessThan(0.3 * chance);
  });

  test('the short cut is the part of the gain that position alone has', () => {
    expect(positionShortcut(0.5, 0.5, 0.1)).toBe(1);
    expect(positionShortcut(0.5, 0.1, 0.1)).toBe(0);
    expect(positionShortcut(0.5, 0.2, 0.1)).toBeCloseTo(0.25, 9);
    expect(positionShortcut(0.1, 0.1, 0.1)).toBeNull();
  });
});

test('the verdict says what the figures say', () => {
  const set = (over: Partial<SetHealth> = {}): SetHealth => ({
    ...{ width: 64, rows: 1000, rank: 30, cosine: 0.1, uniformity: -2, dead: 0, singular: [], deviations: [] },
    ...over,
  });
  const network = (over: Partial<NetworkHealth> = {}): NetworkHealth => ({
    ...{ keys: set(), images: set(), alignment: 1, top1: 0.6, control: 0.1, position_shortcut: 0.1, place_share: 0.1 },
    ...over,
  });
  const found = (trained: NetworkHealth, config: RunConfigInput = {}) =>
    findingsOf(
      {
        ...({
          trained,
          untrained: network({ top1: 0.1 }),
          chance: 0.02,
          K: 64,
          place_share_chance: 0.01,
        } as HealthReport),
      },
      runConfigSchema.parse(config),
    );
  const levels = (trained: NetworkHealth) => found(trained).map(({ level }) => level);
  expect(levels(network())).toEqual(['good', 'good', 'good', 'good', 'good', 'note', 'note']);
  expect(levels(network({ keys: set({ rank: 1.2 }) }))[0]).toBe('bad');
  expect(levels(network({ keys: set({ cosine: 0.95 }) }))[0]).toBe('bad');
  expect(levels(network({ keys: set({ dead: 3 }) }))[1]).toBe('note');
  expect(levels(network({ top1: 0.1 }))[3]).toBe('bad');
  expect(levels(network({ position_shortcut: 0.9 }))[4]).toBe('bad');
  expect(levels(network({ position_shortcut: null }))[4]).toBe('note');
  // Forty black pictures: everything is finite, and nothing is good.
  for (const alike of [{ cosine: 1, rank: 1 }, { rank: 1 }])
    expect(levels(network({ images: set(alike) }))[2]).toBe('bad');
  // The cause that stands in the run's own configuration is named, and no setting that it does not heed.
  const [collapse] = found(network({ keys: set({ rank: 1.2 }) }), { momentum: { schedule: 'none' } });
  expect(collapse!.text).toContain('momentum.schedule=cosine');
  expect(collapse!.text).not.toContain('momentum.start');
});
