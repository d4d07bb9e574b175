import { describe, expect, test } from 'vitest';
import { healthOf } from '../../renderer/charts/health.ts';
import { align, isDrawable, smooth, summary } from '../../renderer/charts/series.ts';
import { csv } from '../../shared/csv.ts';
import type { Metric } from '../../shared/domain.ts';

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

describe('health in words', () => {
  const K = 64;
  const run = (n: number, at: (i: number) => Partial<Metric>): Metric[] =>
    Array.from({ length: n }, (_, i) => ({
      ...{ step: 10 * (i + 1), epoch: 0, time: 0, loss: 2, top1: 0.8, top5: 0.9, top1_control: 0.4, grad_norm: 1 },
      ...{ lr: 1e-3, weight_decay: 0.05, momentum: 0.99, images_per_s: 100, data_wait: 0, replaced: 0 },
      ...{ rank_student: 40, rank_teacher: 40, cosine_student: 0.01, cosine_teacher: 0.01 },
      ...at(i),
    }));

  test('a sound run says nothing', () => {
    expect(
      healthOf(
        run(50, () => ({})),
        K,
      ),
    ).toEqual([]);
    expect(
      healthOf(
        run(3, () => ({ loss: 9 })),
        K,
      ),
    ).toEqual([]); // too early to say
  });

  test('a collapse is named, and what to try', () => {
    const [alarm] = healthOf(
      run(50, (i) => ({ rank_teacher: Math.max(2, 40 - i) / (i > 45 ? 2 : 1), loss: 4.5 })),
      K,
    );
    expect(alarm).toMatchObject({ level: 'alarm', text: expect.stringContaining('collapsed') });
    expect(alarm!.advice).toContain('momentum.start');
  });

  test('worse than guessing, and nothing learned, are told apart', () => {
    expect(
      healthOf(
        run(50, () => ({ loss: 4.6 })),
        K,
      )[0]!.text,
    ).toContain('worse than guessing');
    expect(
      healthOf(
        run(50, () => ({ loss: Math.log(K), top1: 0.016, top1_control: 0.016 })),
        K,
      )[0]!.text,
    ).toContain('nothing is learned');
  });

  test('a rank that falls and stays, with look-ups that forget position, is no alarm', () => {
    const forgets = run(100, (i) => ({
      top1: 0.88 - 0.15 * (i / 100),
      top1_control: 0.46 - 0.24 * (i / 100),
      rank_teacher: 42 - 18 * (i / 100),
    }));
    expect(healthOf(forgets, K)).toMatchObject([{ level: 'note', text: expect.stringContaining('not a collapse') }]);
  });

  test('position alone is called so', () => {
    expect(
      healthOf(
        run(50, () => ({ top1: 0.4, top1_control: 0.395 })),
        K,
      )[0]!.text,
    ).toContain('position alone');
  });
});
