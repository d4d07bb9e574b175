import { describe, expect, test, vi } from 'vitest';
import { bytes, capital, dayAndTime, duration, fixed, NONE, percent, plural, when } from '../../shared/words.ts';

describe('numbers in words', () => {
  test.each([
    [bytes, 999, '999 B'],
    [bytes, 1500, '1.5 kB'],
    [bytes, 25_300_000, '25 MB'],
    [bytes, 2.34e12, '2.3 TB'],
    [duration, 400, '0 s'],
    [duration, 61_000, '1 min 1 s'],
    [duration, 3_599_600, '1 h 0 min'],
    [duration, 50 * 3_600_000, '2 days'],
    [percent, 0.1234, '12.3 %'],
  ])('%o of %j is %j', (say, value, words) => {
    expect(say(value)).toBe(words);
  });

  test('sizes that are held against each other have more digits', () => {
    expect([16.24e9, 16.17e9, 8e9, 253e6].map((size) => bytes(size, 3))).toEqual([
      '16.2 GB',
      '16.2 GB',
      '8.00 GB',
      '253 MB',
    ]);
    expect([9.5e9, 2_340_000, 253e6].map((size) => bytes(size))).toEqual(['9.5 GB', '2.3 MB', '253 MB']);
  });

  test('with the digits that are asked for, and many that are one', () => {
    expect(percent(0.126, 0)).toBe('13 %');
    expect(fixed(2 / 3, 2)).toBe('0.67');
    expect([plural(1, 'image'), plural(1200, 'patch', 'patches')]).toEqual(['1 image', '1,200 patches']);
  });

  test('begins a sentence, but a word with capitals of its own stays', () => {
    expect(['linear probe', 'k-NN', 'few-shot k-NN'].map(capital)).toEqual(['Linear probe', 'k-NN', 'Few-shot k-NN']);
  });

  test('what there is not has one sign', () => {
    const words = [percent(null), percent(undefined), percent(Number.NaN), fixed(null, 1), duration(Infinity)];
    expect(new Set([...words, when(null), dayAndTime(null)])).toEqual(new Set([NONE]));
  });
});

test('dates are on the reader’s clock, also where it is not that of Greenwich', () => {
  vi.stubEnv('TZ', 'Asia/Tokyo');
  expect(dayAndTime(Date.UTC(2026, 2, 1, 0, 5))).toBe('2026-03-01 09:05');
  expect(when(Date.UTC(2026, 1, 28, 20))).toBe('Mar 1, 2026');
  vi.unstubAllEnvs();
});
