import { expect, test } from 'vitest';
import { placeOf, rectangle, regrid } from '../../shared/patches.ts';
import { compareAnswers, nearestStop } from '../../shared/travel.ts';

test('a rectangle is the same from any two opposite corners', () => {
  const want = [6, 7, 11, 12];
  for (const [a, b] of [
    [6, 12],
    [12, 6],
    [7, 11],
    [11, 7],
  ] as const)
    expect(rectangle(a, b, 5)).toEqual(want);
  expect(rectangle(8, 8, 5)).toEqual([8]);
  expect(placeOf(7, 5)).toBe('row 2, column 3');
});

test('the same part of the picture on another grid', () => {
  expect(regrid([5, 6], 4, 4)).toEqual([5, 6]);
  // Each patch of 2 x 2 is four of 4 x 4, and back.
  expect(regrid([1], 2, 4)).toEqual([2, 3, 6, 7]);
  expect(regrid([2, 3, 6, 7], 4, 2)).toEqual([1]);
  // A single small patch lies in one large one, though its middle is not the large one's.
  expect(regrid([15], 4, 2)).toEqual([3]);
  expect(regrid([0, 15], 4, 2)).toEqual([0, 3]);
});

test('answers are compared by image and patch', () => {
  const at = (image: number, patch: number) => ({ image, patch });
  const reference = [at(1, 5), at(2, 5), at(3, 0), at(4, 9)];
  expect(compareAnswers(reference, [at(3, 0), at(1, 6), at(1, 5), at(9, 9)])).toEqual({
    ranks: [3, null, 1, null],
    overlap: 0.5,
  });
  expect(compareAnswers(reference, reference)).toEqual({ ranks: [1, 2, 3, 4], overlap: 1 });
  expect(compareAnswers(null, [at(1, 5)])).toEqual({ ranks: [null], overlap: null });
  expect(compareAnswers(reference, [])).toEqual({ ranks: [], overlap: null });
});

test('the nearest in steps; untrained beside untrained', () => {
  const stop = (step: number, is_untrained = false) => ({ step, is_untrained });
  const stops = [stop(0, true), stop(0), stop(100), stop(200)];
  expect(nearestStop(stops, stop(0, true))).toBe(stops[0]);
  expect(nearestStop(stops, stop(0))).toBe(stops[1]);
  expect(nearestStop(stops, stop(140))).toBe(stops[2]);
  expect(nearestStop(stops, stop(9000))).toBe(stops[3]);
  expect(nearestStop([], stop(1))).toBeUndefined();
});
