import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arrange, knownAt, nearestLine } from '../../renderer/charts/geometry.ts';
import { AXES } from '../../shared/axis.ts';

const values = fc.oneof(
  fc.double(),
  fc.constantFrom(null, 0, -1, 1, 1e300, -1e300, 1e-300, Number.NaN, Infinity, -Infinity),
  fc.double({ min: 1e-9, max: 10, noNaN: true }),
);
const line = fc.record({
  label: fc.string({ maxLength: 3 }),
  x: fc.array(fc.oneof(fc.double(), fc.integer({ min: 0, max: 1000 })), { maxLength: 12 }),
  y: fc.array(values, { maxLength: 12 }),
});
const input = fc.record({
  lines: fc.array(line, { maxLength: 5 }),
  references: fc.array(fc.record({ label: fc.constant('level'), value: fc.double() }), { maxLength: 2 }),
  smoothing: fc.oneof(fc.double(), fc.double({ min: 0, max: 0.98, noNaN: true })),
  log: fc.boolean(),
  range: fc.constantFrom(null, [0, 100] as const),
  xKind: fc.constantFrom(...AXES.filter((kind) => kind !== 'log')),
  width: fc.integer({ min: 0, max: 3000 }),
  height: fc.integer({ min: 0, max: 500 }),
});
const isPlace = (at: number | null) => at === null || (at >= 0 && at <= 1);

describe('a chart', () => {
  test('whatever it is given, everything that is drawn has a place between 0 and 1', () => {
    fc.assert(
      fc.property(input, (given) => {
        const drawing = arrange(given);
        if (!drawing) return;
        const { x, y, xs, xPlaces, rows } = drawing;
        expect(xPlaces.every(isPlace)).toBe(true);
        expect(xPlaces.every((at, i) => i === 0 || at >= xPlaces[i - 1]!)).toBe(true); // in order
        for (const row of rows) {
          expect(row.places).toHaveLength(xs.length);
          expect(row.places.every(isPlace)).toBe(true);
        }
        for (const axis of [x, y]) expect(axis.ticks.every(({ at }) => isPlace(at))).toBe(true);
        expect(x.ticks.length).toBeLessThanOrEqual(Math.max(3, given.width / 70) + 1);
        expect(y.ticks.length).toBeLessThanOrEqual(Math.max(3, given.height / 34) + 1);
      }),
      { numRuns: 2000 },
    );
  });

  test('it is left out only where no value of it has a place', () => {
    const at = (y: (number | null)[], log = false) =>
      arrange({ lines: [{ label: 'a', x: y.map((_, i) => i), y }], log, width: 400, height: 200 });
    expect(at([])).toBeNull();
    expect(at([null, Number.NaN, Infinity])).toBeNull();
    expect(at([0, -3], true)).toBeNull();
    expect(at([null, 7])?.rows).toMatchObject([{ places: [null, 0.5], isPoint: true }]);
    expect(at([3, 7])?.rows).toMatchObject([{ isPoint: false }]);
    expect(at([0, 1e-5, 1e-3], true)?.rows[0]?.places[0]).toBeNull();
  });

  test('the least rate of a cosine that ends at 1e-5, at every step near its end', () => {
    const x = Array.from({ length: 400 }, (_, i) => i + 1);
    const y = x.map((step) => 1e-5 + 0.5 * (1e-3 - 1e-5) * (1 + Math.cos((Math.PI * step) / 400)));
    for (let steps = 2; steps <= 400; steps++) {
      const lines = [{ label: 'rate', x: x.slice(0, steps), y: y.slice(0, steps) }];
      const drawing = arrange({ lines, log: true, width: 500, height: 200 })!;
      expect(drawing.y.ticks.length).toBeGreaterThanOrEqual(2);
      expect(drawing.y.low).toBeLessThanOrEqual(y[steps - 1]!);
    }
  });

  test('the first line lies on top, and what was measured lies behind all that is smoothed', () => {
    const lines = ['a', 'b'].map((label, i) => ({ label, x: [1, 2], y: [i, 1] }));
    const of = (smoothing: number) =>
      arrange({ lines, smoothing, width: 400, height: 200 })!.rows.map(({ line, isRaw }) => [line, isRaw]);
    expect(of(0)).toEqual([1, 0].map((i) => [i, false]));
    expect(of(0.6)).toEqual([
      [1, true],
      [0, true],
      [1, false],
      [0, false],
    ]);
    // A dashed line would be lost under a solid one in the same place.
    const dashed = lines.map((line, i) => ({ ...line, style: { colour: i, dash: i } }));
    expect(arrange({ lines: dashed, width: 400, height: 200 })!.rows.map(({ line }) => line)).toEqual([0, 1]);
  });

  test('a level or a fixed range beyond the values is shown, and values beyond a fixed range are too', () => {
    const lines = [{ label: 'a', x: [1, 2], y: [2, 3] }];
    const drawn = arrange({ lines, references: [{ label: 'guessing', value: 9 }], width: 400, height: 200 })!;
    expect(drawn.y.high).toBeGreaterThanOrEqual(9);
    expect(arrange({ lines, range: [0, 100], width: 400, height: 200 })!.y).toMatchObject({ low: 0, high: 100 });
    const above = [{ label: 'a', x: [1, 2], y: [2, 130] }];
    expect(arrange({ lines: above, range: [0, 100], width: 400, height: 200 })!.y.high).toBeGreaterThan(130);
  });

  test('a figure that is measured at few steps is told as it was measured last', () => {
    expect(knownAt([1, null, null, 4], 2)).toBe(1);
    expect(knownAt([1, null, null, 4], null)).toBe(4);
    expect(knownAt([null, 2], 0)).toBeNull();
    expect(knownAt([], null)).toBeNull();
  });
});

test('the curve under a pointer is found between its values too, not beyond its ends, and none from afar', () => {
  const row = (line: number, places: (number | null)[], isRaw = false) => ({ line, places, isRaw, isPoint: false });
  const drawing = {
    xPlaces: [0, 0.5, 1],
    rows: [
      row(0, [0.2, 0.2, 0.2]),
      row(1, [0.4, null, 0.8]),
      row(2, [null, 0.95, null]),
      row(3, [0.6, 0.6, 0.6], true),
    ],
  } as unknown as Parameters<typeof nearestLine>[0];
  expect([0.25, 0.58, 0.94].map((height) => nearestLine(drawing, 1, height))).toEqual([0, 1, 2]);
  expect(nearestLine(drawing, 2, 0.97)).toBe(null); // line 2 has ended, and line 1 is far
  expect(nearestLine(drawing, 0, 0)).toBe(null);
});
