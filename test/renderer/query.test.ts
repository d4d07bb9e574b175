import fc from 'fast-check';
import { expect, test } from 'vitest';
import { idsOf, numberIn, oneOf, patchIn, wholeFrom } from '../../renderer/state/query.ts';
import { rectangle } from '../../shared/patches.ts';

test('what an address says of a number is within limits, or what it would be without', () => {
  expect(numberIn('0.4', 0, 0.98, 0.6)).toBe(0.4);
  for (const text of [undefined, '', ' ', 'abc', 'NaN', '1e999', '0,4']) expect(numberIn(text, 0, 0.98, 0.6)).toBe(0.6);
  expect(numberIn('-3', 0, 0.98, 0.6)).toBe(0);
  expect(numberIn('7', 0, 0.98, 0.6)).toBe(0.98);
  fc.assert(
    fc.property(fc.string(), (text) => {
      const value = numberIn(text, 0, 1, 0.5);
      expect(value >= 0 && value <= 1).toBe(true);
    }),
  );
});

test('whole numbers, words and ids: what is none is left out', () => {
  expect(wholeFrom('3', 1)).toBe(3);
  for (const text of [undefined, '', '0', '-1', '1.5', 'x', '1e300', 'Infinity']) expect(wholeFrom(text, 1)).toBeNull();
  expect(oneOf('time', ['step', 'time'])).toBe('time');
  for (const text of [undefined, '', 'toString', 'STEP']) expect(oneOf(text, ['step', 'time'])).toBe('step');
  expect(idsOf('20,16,x,16,-1,0.5,,12')).toEqual([20, 16, 12]);
  expect(idsOf(undefined)).toEqual([]);
});

test('a patch is one of the grid, so that a rectangle to it is no larger than the grid', () => {
  expect([patchIn('5', 4), patchIn('16', 4), patchIn('1000000000', 4)]).toEqual([5, 15, 15]);
  for (const text of [undefined, '', 'x', '-1', '1.5', 'NaN']) expect(patchIn(text, 4)).toBeNull();
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 64 }), (text, grid) => {
      const [from, to] = [patchIn(text, grid) ?? 0, patchIn('99999999999', grid)!];
      expect(rectangle(from, to, grid).length).toBeLessThanOrEqual(grid * grid);
    }),
  );
});
