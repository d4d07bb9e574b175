import fc from 'fast-check';
import { expect, test } from 'vitest';
import { naturalOrder } from '../../shared/natural-order.ts';

test('numbers in names are in the order of their values', () => {
  const sorted = (...names: string[]) => names.sort(naturalOrder);
  expect(sorted('temp 0.5', 'temp 0.2', 'temp 0.05')).toEqual(['temp 0.05', 'temp 0.2', 'temp 0.5']);
  expect(sorted('run 10', 'run 9', 'run')).toEqual(['run', 'run 9', 'run 10']);
  expect(sorted('lr 1e-3', 'lr 2e-4', 'lr 0.5')).toEqual(['lr 2e-4', 'lr 1e-3', 'lr 0.5']);
  expect(sorted('b 1', 'a 2', 'É', 'e')).toEqual(['a 2', 'b 1', 'e', 'É']);
});

test('it is an order: of any three names, and of a name and itself', () => {
  const names = fc.oneof(
    fc.string(),
    fc.tuple(fc.string(), fc.double({ min: 0, max: 1e6, noNaN: true })).map(([t, n]) => `${t}${n}`),
  );
  fc.assert(
    fc.property(names, names, names, (a, b, c) => {
      expect(naturalOrder(a, a)).toBe(0);
      expect(Math.sign(naturalOrder(a, b)) + Math.sign(naturalOrder(b, a))).toBe(0);
      if (naturalOrder(a, b) <= 0 && naturalOrder(b, c) <= 0) expect(naturalOrder(a, c)).toBeLessThanOrEqual(0);
    }),
  );
});
