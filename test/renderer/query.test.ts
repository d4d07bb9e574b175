import fc from 'fast-check';
import { expect, test } from 'vitest';
import { idsOf, numberIn, oneOf, wholeFrom } from '../../renderer/state/query.ts';

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
