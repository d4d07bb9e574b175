import { expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { lastStepsOf } from '../../shared/figures.ts';
import { metric } from '../../test/store/helpers.ts';
import { parseRunConfig, schemaFor } from '../index.ts';
import { ours } from './config.ts';
import { account } from './figures.ts';
import { makeMask } from './mask.ts';
import { method } from './method.ts';
import { temperaturesAt } from './step.ts';

const ibot = (settings: object = {}) => parseRunConfig({ method: { name: 'ibot' }, ...settings });
const config = ibot();
const steps = (n: number, loss: number, figures: Record<string, number> = {}) =>
  Array.from({ length: n }, (_, i) => metric(50 * (i + 1), { loss, figures }));
const alarm = (metrics: ReturnType<typeof steps>, of = config) =>
  account.alarm(lastStepsOf(metrics, account.charts), of);

test('guessing is ln(out) of CLS, and of patches as often as a crop has a mask', () => {
  expect(account.chance(config).loss).toBeCloseTo(1.5 * Math.log(8192), 6); // 13.5, as published
  expect(account.chance(ibot({ mask: { unmasked: 0 }, loss: { patch: 0.5 } })).loss).toBeCloseTo(
    1.5 * Math.log(8192),
    6,
  );
});

test('all classes alike, or one class for all images, are a collapse; not before the last layer is trained a while', () => {
  expect(alarm(steps(50, 13, { teacher_entropy_cls: 9 }))?.text).toContain('all classes alike');
  expect(alarm(steps(50, 1, { teacher_entropy_cls: 0.001, cosine_images: 0.999 }))?.text).toContain('one class');
  expect(alarm(steps(50, 5, { teacher_entropy_cls: 0.001, cosine_images: 0.3 }))).toBeNull();
  expect(alarm(steps(50, 13.5, { teacher_entropy_cls: 5 }))?.kind).toBe('not-learning');
  expect(alarm(steps(20, 13.5, { teacher_entropy_cls: 9 }))).toBeNull();
  const hot = ibot({ temperatures: { teacher: 0.1 } });
  expect(alarm(steps(50, 13, { teacher_entropy_cls: 9 }), hot)?.advice).toContain('above 0.07');
});

test('temperatures rise over their epochs, both ends included', () => {
  const { temperatures } = ours(ibot({ temperatures: { warmup_epochs: 3, patch_start: 0.05 } }));
  const at = (epoch: number, maskedFrom = 0) => temperaturesAt(epoch, { temperatures, maskedFrom });
  expect([0, 1, 2, 3, 9].map((epoch) => at(epoch)[0])).toEqual(
    [0.04, 0.055, 0.07, 0.07, 0.07].map((t) => expect.closeTo(t, 9)),
  );
  expect(at(1)[1]).toBeCloseTo(0.06, 9);
  expect([0, 1, 2].map((epoch) => at(epoch, 1)[1])).toEqual([0.05, 0.05, 0.06].map((t) => expect.closeTo(t, 9)));
});

test('half of the crops have no mask, the others their share; blocks never more', () => {
  const shares = Array.from({ length: 600 }, (_, i) => {
    const mask = makeMask(ours(config), { grid: 14 }, stream(1, 0, i, 'mask'));
    return mask.reduce((a, b) => a + b, 0) / mask.length;
  });
  const masked = shares.filter((share) => share > 0);
  expect(Math.abs(masked.length / shares.length - 0.5)).toBeLessThan(0.08);
  expect(Math.max(...masked)).toBeLessThanOrEqual(0.5);
  const random = Array.from({ length: 300 }, (_, i) => {
    const own = { ...ours(config).mask, kind: 'random' as const, unmasked: 0 };
    return makeMask({ mask: own }, { grid: 14 }, stream(1, 0, i, 'mask')).reduce((a, b) => a + b, 0) / 196;
  });
  expect(random.reduce((a, b) => a + b) / 300).toBeCloseTo(0.3, 1);
  expect(Math.min(...random)).toBeGreaterThan(0.09);
});

test('views are two masked large crops of different colours and some small ones; a share that leaves 0 to 1 is refused', () => {
  const views = method.views(ibot({ crops: { small: 3 } }));
  expect(views.map(({ isMasked, side }) => [isMasked, side])).toEqual([
    [true, 224],
    [true, 224],
    ...[1, 2, 3].map(() => [false, 96]),
  ]);
  expect(views.slice(0, 3).map(({ augment }) => [augment?.blur, augment?.solarize])).toEqual([
    [1, 0],
    [0.1, 0.2],
    [0.5, 0],
  ]);
  const { error } = schemaFor({ method: { name: 'ibot' } }).safeParse({
    method: { name: 'ibot' },
    mask: { ratio: 0.1, ratio_var: 0.2 },
  });
  expect(error?.issues.map(({ message }) => message)).toEqual(['must leave shares between 0 and 1; nearest: 0.1']);
});
