import { describe, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { placeShare, toUnitRows } from '../../electron/engine/health.ts';
import { relativeDeviations } from '../../electron/services/health/measures.ts';
import { featureHealth } from '../../electron/trainer/feature-health.ts';
import { uniformity } from '../../electron/trainer/spectrum.ts';

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

  test('keys that are a function of place alone: share 1; of nothing of it: chance', () => {
    const [K, images] = [16, 100];
    const places = gaussian(K, 'places');
    const ofPlace = new Float32Array(K * WIDTH * images);
    for (let i = 0; i < images; i++) ofPlace.set(places, i * K * WIDTH);
    expect(placeShare(ofPlace, K, WIDTH)).toBeCloseTo(1, 5);
    const chance = (K - 1) / (K * images - 1);
    expect(Math.abs(placeShare(gaussian(K * images, 'free'), K, WIDTH) - chance)).toBeLessThan(0.3 * chance);
  });
});
