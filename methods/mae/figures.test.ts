import { expect, test } from 'vitest';
import { lastStepsOf } from '../../shared/figures.ts';
import { metric } from '../../test/store/helpers.ts';
import { parseRunConfig } from '../index.ts';
import { account } from './figures.ts';

const config = parseRunConfig({ method: { name: 'mae' } });
const steps = (n: number, loss: number, figures: Record<string, number> = {}) =>
  Array.from({ length: n }, (_, i) => metric(10 * (i + 1), { loss, figures }));
const alarm = (metrics: ReturnType<typeof steps>) =>
  account.alarm(lastStepsOf(metrics, account.charts), config)?.kind ?? null;

test('zero for every pixel has the mean square of a normalised patch, whose variance is taken with one value less', () => {
  const pixels = [3, -1, 4, 1, -5, 9, 2, 6, 5, 3, 5, 8]; // any patch of 2 x 2 x 3
  const mean = pixels.reduce((a, b) => a + b, 0) / pixels.length;
  const variance = pixels.reduce((a, b) => a + (b - mean) ** 2, 0) / (pixels.length - 1);
  const square = pixels.reduce((a, b) => a + (b - mean) ** 2 / variance, 0) / pixels.length;
  const small = { ...config, model: { ...config.model, patch_size: 2 } };
  expect(account.chance(small).loss).toBeCloseTo(square, 12);
  expect(account.chance(config).loss).toBeCloseTo(0.9987, 4);
});

test('a loss that stays at that is said after some time, as is a decoder that draws all images alike', () => {
  expect(alarm(steps(50, 0.995))).toBe('not-learning');
  expect(alarm(steps(50, 0.98))).toBeNull();
  expect(alarm(steps(20, 1.8))).toBeNull(); // where it begins
  expect(alarm(steps(50, 0.9, { spread: 0.001 }))).toBe('ignores-images');
  expect(alarm(steps(50, 0.9, { spread: 0.35 }))).toBeNull();
});

test('of pixels as they are, no loss is known to be that of nothing', () => {
  const raw = parseRunConfig({ method: { name: 'mae' }, target: { normalised: false } });
  const chance = account.chance(raw);
  expect(chance.loss).toBeNaN();
  expect(account.charts[0]!.references!(chance, raw)).toEqual([]);
  expect(account.alarm(lastStepsOf(steps(50, 1.4), account.charts), raw)).toBeNull();
});
