import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  around,
  csvOf,
  fit,
  nearest,
  pictures,
  toMap,
  toScreen,
  within,
  zoom,
} from '../../renderer/views/explore/map.ts';
import { classMark, viridisRgb } from '../../shared/colours.ts';

const size = { width: 400, height: 300 };
const points = { x: [0, 10, 10, 0, 5], y: [0, 0, 5, 5, 2] };

test('the whole map fits, with its proportions and some air', () => {
  const view = fit(points, size, 50);
  expect(view).toEqual({ x: 5, y: 2.5, scale: 30 });
  expect(points.x.map((x, i) => toScreen(view, size, x, points.y[i]!))).toEqual([
    [50, 75],
    [350, 75],
    [350, 225],
    [50, 225],
    [200, 135],
  ]);
  expect(fit({ x: [3], y: [4] }, size)).toMatchObject({ x: 3, y: 4 });
  expect(fit({ x: [3], y: [4] }, size).scale).toBeGreaterThan(0);
});

test('screen and map are each other’s inverse; zooming keeps what is under the pointer', () => {
  const view = { x: 7, y: -2, scale: 13 };
  const [x, y] = toMap(view, size, 111, 222);
  expect(toScreen(view, size, x, y)[0]).toBeCloseTo(111);
  const nearer = zoom(view, size, 2.5, [111, 222]);
  expect(nearer.scale).toBeCloseTo(32.5);
  expect(toScreen(nearer, size, x, y)[0]).toBeCloseTo(111);
  expect(toScreen(nearer, size, x, y)[1]).toBeCloseTo(222);
});

test('a lasso holds what is inside it, also where it is hollow', () => {
  expect(within(points, [[-1, -1], [6, -1], [6, 6], [-1, 6]])).toEqual([0, 3, 4]); // biome-ignore format: a polygon
  // The letter C: its opening is outside.
  const c = [[-1, -1], [11, -1], [11, 1], [2, 1], [2, 4], [11, 4], [11, 6], [-1, 6]] as const; // biome-ignore format: a polygon
  expect(within(points, c)).toEqual([0, 1, 2, 3]);
  expect(within(points, [[0, 0]])).toEqual([]);
  expect(within(points, [])).toEqual([]);
});

test('the nearest point within reach, and the neighbours of one', () => {
  const view = fit(points, size, 50);
  expect(nearest(points, view, size, 345, 80, 14)).toBe(1);
  expect(nearest(points, view, size, 300, 180, 14)).toBeNull();
  expect(around(points, 4, 2)).toEqual([0, 1]);
  expect(around(points, 1, 10)).toEqual([2, 4, 0, 3]);
});

test('pictures: one a cell, none covers another, panning changes none', () => {
  const many = {
    x: Array.from({ length: 500 }, (_, i) => Math.sin(i * 12.9) * 20),
    y: Array.from({ length: 500 }, (_, i) => Math.cos(i * 78.2) * 20),
  };
  for (const scale of [1, 3, 7.9, 20]) {
    const view = { x: 0, y: 0, scale };
    const shown = pictures(many, view, size, 44);
    expect(shown.length).toBeGreaterThan(0);
    for (const a of shown)
      for (const b of shown)
        if (a !== b) expect(Math.abs(a.left - b.left) >= 44 || Math.abs(a.top - b.top) >= 44).toBe(true);
    const panned = pictures(many, { ...view, x: 3 }, size, 44);
    const inner = shown.filter(({ left }) => left > 100 + 3 * scale && left < 300);
    expect(panned.map(({ point }) => point)).toEqual(expect.arrayContaining(inner.map(({ point }) => point)));
  }
});

test('CSV keeps commas and quotes of a path', () => {
  expect(csvOf([{ path: 'a, "b".png', label: 'x', x: 1.5, y: -2 }])).toBe(
    'path,class,x,y\r\n"a, ""b"".png",x,1.5,-2\r\n',
  );
});

test('32 classes are told apart by colour and shape', () => {
  const marks = Array.from({ length: 32 }, (_, i) => JSON.stringify(classMark(i)));
  expect(new Set(marks).size).toBe(32);
  expect(classMark(-1).shape).toBe('circle');
});

test('a map of any points is seen: whole, and however far it is zoomed', () => {
  const number = fc.oneof(
    fc.double({ min: -1e300, max: 1e300, noNaN: true }),
    fc.constantFrom(0, 1e300, -1e300, 1e-300),
  );
  const place = fc.oneof(number, fc.constantFrom(Number.NaN, Infinity));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(place, place), { maxLength: 8 }),
      fc.record({ width: fc.integer({ min: 0, max: 3000 }), height: fc.integer({ min: 0, max: 3000 }) }),
      fc.array(fc.constantFrom(1e-200, 0.1, 1.3, 1e200), { maxLength: 6 }),
      (all, size, factors) => {
        const points = { x: all.map(([x]) => x), y: all.map(([, y]) => y) };
        let view = fit(points, size);
        expect([view.x, view.y, view.scale].every(Number.isFinite) && view.scale > 0).toBe(true);
        for (const [x, y] of all.filter((point) => point.every(Number.isFinite))) {
          const [px, py] = toScreen(view, size, x, y);
          expect(px >= -2 && px <= size.width + 2 && py >= -2 && py <= size.height + 2).toBe(true);
        }
        for (const factor of factors) view = zoom(view, size, factor, [1, 1]);
        expect(Number.isFinite(view.scale) && view.scale > 0).toBe(true);
        expect(() => pictures(points, view, size, 44)).not.toThrow();
        nearest(points, view, size, 1, 1, 14);
      },
    ),
  );
});

test('every share has a colour', () => {
  for (const share of [Number.NaN, Infinity, -Infinity, -1, 0, 0.5, 1, 2])
    expect(viridisRgb(share).every((c) => Number.isInteger(c) && c >= 0 && c <= 255)).toBe(true);
});
