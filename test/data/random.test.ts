import { describe, expect, test } from 'vitest';
import { permutation, stream } from '../../electron/data/random.ts';

/** Five standard deviations: a sound generator fails such a check once in two million times. */
const SIGMAS = 5;

/** Mean of n products of two centred uniform numbers, in standard deviations (1 / 12 / sqrt(n)). */
const correlation = (pairs: readonly [number, number][]) =>
  (pairs.reduce((sum, [a, b]) => sum + (a - 0.5) * (b - 0.5), 0) / pairs.length) * 12 * Math.sqrt(pairs.length);

test('a stream is a function of its key, and each part of the key counts', () => {
  const first = (...key: Parameters<typeof stream>) => {
    const random = stream(...key);
    return Array.from({ length: 8 }, () => random.next());
  };
  const start = first(1, 2, 3, 'crop');
  expect(first(1, 2, 3, 'crop')).toEqual(start);
  for (const other of [
    first(2, 2, 3, 'crop'),
    first(1, 3, 3, 'crop'),
    first(1, 2, 4, 'crop'),
    first(2, 1, 3, 'crop'),
    first(1, 2, 3, 'mask'),
    first(1, 2, 3, 'crop 1'),
    first(2 ** 32 - 1, 2, 3, 'crop'),
    first(1, 2, '3', 'crop'),
  ]) {
    expect(other).not.toEqual(start);
  }
  expect(first(1, 2, 'ab', 'crop')).toEqual(first(1, 2, 'ab', 'crop'));
  expect(first(1, 2, 'ab', 'crop')).not.toEqual(first(1, 2, 'ac', 'crop'));
  expect(first(1, 2, 'ab', 'crop')).not.toEqual(first(1, 2, 'a', 'bcrop')); // where one text ends is part of the key
});

describe('numbers are uniform and unrelated', () => {
  const n = 60_000;
  test.each([
    ['of one stream', () => stream(7, 0, 0, 'x')],
    ['first of neighbouring images', null],
  ])('%s', (_, make) => {
    const one = make?.();
    const values = Array.from({ length: n }, (_, i) => (one ?? stream(7, 0, i, 'x')).next());
    const bins = new Float64Array(64);
    for (const v of values) {
      expect(v >= 0 && v < 1).toBe(true);
      bins[Math.floor(v * 64)]! += 1;
    }
    // Chi-squared: 63 degrees of freedom, so mean 63 and variance 126.
    const chi = bins.reduce((sum, count) => sum + (count - n / 64) ** 2 / (n / 64), 0);
    expect(Math.abs(chi - 63) / Math.sqrt(126)).toBeLessThan(SIGMAS);
    const follow = values.slice(1).map((v, i): [number, number] => [values[i]!, v]);
    expect(Math.abs(correlation(follow))).toBeLessThan(SIGMAS);
  });
  test.each([
    ['seed', (i: number) => [stream(i, 0, 0, 'x'), stream(i + 1, 0, 0, 'x')] as const],
    ['epoch', (i: number) => [stream(0, i, 5, 'x'), stream(0, i + 1, 5, 'x')] as const],
    ['purpose', (i: number) => [stream(0, 0, i, 'x'), stream(0, 0, i, 'y')] as const],
    ['epoch and image exchanged', (i: number) => [stream(0, i, 1, 'x'), stream(0, 1, i + 2, 'x')] as const],
  ])('keys that differ by %s', (_, make) => {
    const pairs = Array.from({ length: n }, (_, i): [number, number] => {
      const [a, b] = make(i);
      return [a.next(), b.next()];
    });
    expect(Math.abs(correlation(pairs))).toBeLessThan(SIGMAS);
  });
});

test('int and uniform keep to their range and reach all of it', () => {
  const random = stream(0, 0, 0, 'range');
  const seen = new Set(Array.from({ length: 200 }, () => random.int(5)));
  expect([...seen].sort()).toEqual([0, 1, 2, 3, 4]);
  const values = Array.from({ length: 1000 }, () => random.uniform(-2, 3));
  expect(Math.min(...values)).toBeGreaterThanOrEqual(-2);
  expect(Math.max(...values)).toBeLessThan(3);
  expect(Math.max(...values) - Math.min(...values)).toBeGreaterThan(4.8);
});

test('a permutation holds everything once, another order per epoch and seed, each place equally likely', () => {
  const order = permutation(3, 0, 1000);
  expect(order.toSorted()).toEqual(Uint32Array.from({ length: 1000 }, (_, i) => i));
  expect(permutation(3, 0, 1000)).toEqual(order);
  expect(permutation(3, 1, 1000)).not.toEqual(order);
  expect(permutation(4, 0, 1000)).not.toEqual(order);
  const n = 30_000;
  const orders = new Map<string, number>();
  for (let epoch = 0; epoch < n; epoch++) {
    const key = permutation(0, epoch, 4).join();
    orders.set(key, (orders.get(key) ?? 0) + 1);
  }
  expect(orders.size).toBe(24);
  const deviation = Math.sqrt((n / 24) * (23 / 24));
  for (const count of orders.values()) expect(Math.abs(count - n / 24)).toBeLessThan(SIGMAS * deviation);
});
