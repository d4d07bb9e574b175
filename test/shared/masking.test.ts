import { describe, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { type MaskConfig, maskSchema } from '../../shared/config.ts';
import { makeMask } from '../../shared/masking.ts';

const shape = { grid: 14, patchSize: 16, imageSize: 224 };
const mask = (over: Partial<MaskConfig>, image = 0, of = shape) =>
  makeMask(maskSchema.parse(over), of, stream(0, 0, image, 'mask'));
const count = (m: Uint8Array) => m.reduce((a, b) => a + b, 0);

describe('random_mps32', () => {
  test('masks whole units, as many as the ratio asks for, rounded up', () => {
    for (let image = 0; image < 20; image++) {
      const m = mask({ ratio: 0.75 }, image);
      expect(count(m)).toBe(Math.ceil(49 * 0.75) * 4);
      for (let y = 0; y < 14; y++) for (let x = 0; x < 14; x++) expect(m[y * 14 + x]).toBe(m[(y & ~1) * 14 + (x & ~1)]);
    }
  });
  test.each([
    [16, 0.6, Math.ceil(196 * 0.6)],
    [112, 0.5, 2 * 49],
  ])('unit %d px, ratio %d', (unit, ratio, want) => expect(count(mask({ unit, ratio }))).toBe(want));
});

test('uniform masks the ratio, rounded down, each place equally often', () => {
  const often = new Float64Array(196);
  const n = 2000;
  for (let image = 0; image < n; image++) {
    const m = mask({ kind: 'uniform', ratio: 0.4 }, image);
    expect(count(m)).toBe(78);
    m.forEach((v, i) => {
      often[i]! += v / n;
    });
  }
  const five = 5 * Math.sqrt((0.4 * 0.6) / n);
  for (const share of often) expect(Math.abs(share - 78 / 196)).toBeLessThan(five);
});

test('blocks: connected rectangles, about the ratio and never above it', () => {
  const counts = Array.from({ length: 300 }, (_, image) => count(mask({ kind: 'block', ratio: 0.4 }, image)));
  const wanted = Math.trunc(0.4 * 196);
  expect(Math.max(...counts)).toBeLessThanOrEqual(wanted);
  // BEiT's generator gives up where ten draws in a row do not fit: most of the ratio is reached, not all of it.
  expect(counts.reduce((a, b) => a + b) / counts.length).toBeGreaterThan(0.8 * wanted);
  expect(new Set(counts).size).toBeGreaterThan(3);
});

test('blocks favour no side: places that a mirror or the diagonal exchanges are hidden equally often', () => {
  const n = 3000;
  const often = new Float64Array(196);
  for (let image = 0; image < n; image++) {
    mask({ kind: 'block', ratio: 0.4 }, image).forEach((v, i) => {
      often[i]! += v / n;
    });
  }
  const at = (y: number, x: number) => often[y * 14 + x]!;
  const five = 5 * Math.sqrt(0.5 / n); // of a difference of two shares, at most
  for (let y = 0; y < 14; y++) {
    for (let x = 0; x < 14; x++) {
      for (const other of [at(13 - y, x), at(y, 13 - x), at(x, y)])
        expect(Math.abs(at(y, x) - other)).toBeLessThan(five);
    }
  }
  // More rectangles cover the middle than a corner.
  expect(at(6, 6)).toBeGreaterThan(at(0, 0) + five);
  expect(at(0, 0)).toBeGreaterThan(0);
});

test('at least one patch is masked, and at least one is not', () => {
  const tiny = { grid: 2, patchSize: 8, imageSize: 16 };
  expect(count(mask({ kind: 'uniform', ratio: 0.01 }, 0, tiny))).toBe(1);
  expect(count(mask({ unit: 8, ratio: 0.99 }, 0, tiny))).toBe(3);
});

test('a mask is a function of its key', () => {
  expect(mask({}, 5)).toEqual(mask({}, 5));
  expect(mask({}, 5)).not.toEqual(mask({}, 6));
});
