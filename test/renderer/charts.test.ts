import { describe, expect, test } from 'vitest';
import { align, isDrawable, smooth, summary } from '../../renderer/charts/series.ts';
import { csv } from '../../shared/csv.ts';

describe('curves', () => {
  test('smoothing keeps a constant, follows by its weight, and leaves gaps', () => {
    expect(smooth([2, 2, 2], 0.9)).toEqual([2, 2, 2].map((v) => expect.closeTo(v, 12)));
    expect(smooth([0, 1], 0.5)).toEqual([0, expect.closeTo(2 / 3, 12)]); // (.25 * 0 + .5 * 1) / .75
    expect(smooth([1, null, 1], 0.5)[1]).toBeNull();
    expect(smooth([1, 5], 0)).toEqual([1, 5]);
  });

  test('curves with other steps share an axis', () => {
    expect(
      align([
        { x: [1, 3], y: [10, 30] },
        { x: [2, 3], y: [null, 9] },
      ]),
    ).toEqual({
      x: [1, 2, 3],
      y: [
        [10, null, 30],
        [null, null, 9],
      ],
    });
  });

  test('places out of order, as after a clock was set back, are put in order; what is no place is left out', () => {
    const x = [1, 3, Number.NaN, 2, 3];
    expect(align([{ x, y: [1, 2, 9, 3, 4] }])).toEqual({ x: [1, 2, 3, 3], y: [[1, 3, 2, 4]] });
    expect(
      align([
        { x, y: [1, 2, 9, 3, 4] },
        { x: [2], y: [7] },
      ]).x,
    ).toEqual([1, 2, 3]);
  });

  test('no weight of smoothing makes a curve disappear', () => {
    for (const weight of [Number.NaN, -1, 0]) expect(smooth([1, 5], weight)).toEqual([1, 5]);
    for (const weight of [1, 2, Infinity]) expect(smooth([1, 5], weight)).toEqual([1, expect.closeTo(3, 2)]);
  });

  test('words for who cannot see', () => {
    expect(summary('loss', [3, null, 1, 2], (v) => v.toFixed(1))).toBe('loss: last 2.0, least 1.0, greatest 3.0');
    expect(summary('loss', [null], String)).toContain('nothing measured');
  });

  test('what nothing was measured of is not drawn', () => {
    expect(isDrawable([], false)).toBe(false);
    expect(isDrawable([[], [null, null]], false)).toBe(false);
    expect(isDrawable([[null], [Number.NaN, 0]], false)).toBe(true);
    expect(isDrawable([[null], [0, -1]], true)).toBe(false);
    expect(isDrawable([[null], [0, 1e-9]], true)).toBe(true);
  });

  test('CSV quotes what must be quoted', () => {
    expect(
      csv(
        ['a', 'b,c'],
        [
          ['say "x"', null],
          [1, 'two\nlines'],
        ],
      ),
    ).toBe('a,"b,c"\r\n"say ""x""",\r\n1,"two\nlines"\r\n');
  });
});
