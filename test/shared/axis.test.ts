import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AXES, type Axis, axisOf, reachOf } from '../../shared/axis.ts';

/** Numbers of every mantissa and magnitude, of both signs, and zero. */
const magnitudes = fc
  .tuple(fc.double({ min: 1, max: 9.9999999, noNaN: true }), fc.integer({ min: -300, max: 299 }), fc.boolean())
  .map(([mantissa, power, isBelow]) => (isBelow ? -1 : 1) * Number(`${mantissa}e${power}`));
/** Close together as values of a curve are: differences far smaller than the values. */
const near = fc
  .tuple(
    magnitudes,
    fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { maxLength: 6 }),
    fc.integer({ min: -17, max: 0 }),
  )
  .map(([base, shifts, power]) => [base, ...shifts.map((shift) => base * (1 + shift * 10 ** power))]);
const anyNumbers = fc.array(
  fc.oneof(
    magnitudes,
    fc.constant(0),
    fc.double(),
    fc.integer({ min: 0, max: 10_000_000 }),
    fc.constantFrom(null, Number.NaN, Infinity, -Infinity),
  ),
  { maxLength: 8 },
);
const values = fc.oneof(anyNumbers, near as fc.Arbitrary<(number | null)[]>);
const [WANTED, PIXELS] = [fc.integer({ min: 1, max: 24 }), 1200];
const margins = fc.constantFrom(0, 0.05, 0.06);

/** What a label says, read as a person would. */
function read(label: string): number {
  const units: Record<string, number> = { s: 1, min: 60, h: 3600, d: 86_400, '%': 1 };
  const sign = label.startsWith('-') ? -1 : 1;
  const parts = [
    ...label
      .replaceAll(',', '')
      .replace(/^-/, '')
      .matchAll(/([\d.]+(?:e-?\d+)?)(?: (s|min|h|d|%))?/g),
  ];
  return sign * parts.reduce((sum, [, number, unit]) => sum + Number(number) * (unit ? units[unit]! : 1), 0);
}

function expectSound(axis: Axis, kind: string, wanted: number, known: readonly number[]) {
  const { ticks } = axis;
  expect(Number.isFinite(axis.low) && Number.isFinite(axis.high) && axis.low < axis.high).toBe(true);
  for (const value of known) {
    expect(value >= axis.low && value <= axis.high).toBe(true);
    const at = axis.place(value);
    expect(at >= -1e-6 && at <= 1 + 1e-6).toBe(true);
  }
  expect(ticks.length).toBeGreaterThanOrEqual(1);
  expect(ticks.length).toBeLessThanOrEqual(Math.max(3, wanted) + 1);
  expect(new Set(ticks.map(({ label }) => label)).size).toBe(ticks.length);
  for (const [i, { value, at, label }] of ticks.entries()) {
    expect(at >= 0 && at <= 1).toBe(true);
    if (i > 0) expect(at).toBeGreaterThan(ticks[i - 1]!.at);
    if (kind === 'step') expect(Number.isInteger(value)).toBe(true);
    const said = read(label);
    expect(Number.isFinite(said), label).toBe(true);
    expect(Math.abs(within(axis.place(said)) - at) * PIXELS, `${label} at ${value}`).toBeLessThan(1);
  }
}
const within = (at: number) => Math.max(0, Math.min(1, at));

describe('an axis', () => {
  test.each(AXES)('%s: any values, any number of lines: they are held, and labels are different and true', (kind) => {
    fc.assert(
      fc.property(values, WANTED, margins, fc.constantFrom('', ' %'), (given, wanted, margin, suffix) => {
        const log = kind === 'log';
        const reach = reachOf([given], log);
        const known = given.filter((v): v is number => v !== null && Number.isFinite(v) && (!log || v >= 1e-300));
        expect(reach === null).toBe(known.length === 0);
        if (reach === null) return;
        const axis = axisOf(kind, reach, { wanted, margin, ...(kind !== 'time' && { suffix }) });
        expectSound(axis, kind, wanted, known);
      }),
      { numRuns: 800 },
    );
  });

  test.each(AXES)('%s: every mantissa of the least value, over all magnitudes', (kind) => {
    for (let power = -300; power <= 300; power += 60) {
      for (let mantissa = 1; mantissa < 10; mantissa += 0.31) {
        const low = Number(`${mantissa}e${power}`);
        for (const high of [low, low * 1.0001, low * 1.7, low * 40, low * 1e5])
          if (Number.isFinite(high)) expectSound(axisOf(kind, [low, high], { wanted: 6 }), kind, 6, [low, high]);
      }
    }
  });

  test('a place and its value are each other’s inverse', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...AXES),
        fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
        fc.double({ min: 1, max: 1e5, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (kind, low, factor, at) => {
          const axis = axisOf(kind, [low, low * (1 + factor)]);
          expect(axis.place(axis.value(at))).toBeCloseTo(at, 6);
        },
      ),
    );
  });

  const labels = (...args: Parameters<typeof axisOf>) => axisOf(...args).ticks.map(({ label }) => label);
  test('steps are whole, from the first on', () => {
    expect(labels('step', [1, 5])).toEqual(['1', '2', '3', '4', '5']);
    expect(labels('step', [1, 15])).toEqual(['5', '10', '15']);
    expect(labels('step', [1, 1])).toEqual(['0', '1', '2']);
    expect(labels('step', [1, 20_000], { wanted: 5 })).toEqual(['5,000', '10,000', '15,000', '20,000']);
  });
  test('times are at places that clocks have', () => {
    expect(labels('time', [0, 2])).toEqual(['0 s', '0.5 s', '1.0 s', '1.5 s', '2.0 s']);
    expect(labels('time', [0, 90])).toEqual(['0 s', '15 s', '30 s', '45 s', '1 min', '1 min 15 s', '1 min 30 s']);
    expect(labels('time', [3000, 12_000])).toEqual(['1 h', '1 h 30 min', '2 h', '2 h 30 min', '3 h']);
    expect(labels('time', [0, 500_000])).toEqual(['0 d', '1 d', '2 d', '3 d', '4 d', '5 d']);
  });
  test('digits are as many as tell the labels apart', () => {
    expect(labels('linear', [1.386, 1.39])).toEqual(['1.386', '1.387', '1.388', '1.389', '1.390']);
    expect(labels('linear', [0.996, 0.9961])).toEqual([
      '0.99600',
      '0.99602',
      '0.99604',
      '0.99606',
      '0.99608',
      '0.99610',
    ]);
    expect(labels('linear', [0, 1e-4])).toEqual(['0', '2e-5', '4e-5', '6e-5', '8e-5', '1e-4']);
    expect(labels('linear', [0, 100], { suffix: ' %' })).toEqual(['0 %', '20 %', '40 %', '60 %', '80 %', '100 %']);
  });
  test('a logarithmic axis has powers of ten over many decades, and round values over few', () => {
    expect(labels('log', [1e-5, 1e-2])).toEqual(['1e-5', '1e-4', '0.001', '0.01']);
    expect(labels('log', [1, 50])).toEqual(['1', '2', '5', '10', '20', '50']);
    expect(labels('log', [1.2e-5, 1.9e-5])).toEqual(['1.2e-5', '1.4e-5', '1.6e-5', '1.8e-5']);
    expect(labels('log', [1e-300, 1e300])).toEqual(['1e-300', '1e-200', '1e-100', '1', '1e100', '1e200', '1e300']);
  });
  test('what cannot be drawn has no reach', () => {
    expect(
      reachOf([
        [null, Number.NaN],
        [Infinity, undefined],
      ]),
    ).toBeNull();
    expect(reachOf([[0, -1]], true)).toBeNull();
    expect(
      reachOf([
        [3, null],
        [-1, Number.NaN],
      ]),
    ).toEqual([-1, 3]);
  });
});
