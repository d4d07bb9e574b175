import { expect, test } from 'vitest';
import { lastStepsOf } from '../../shared/figures.ts';
import { metric } from '../../test/store/helpers.ts';
import { parseRunConfig, schemaFor } from '../index.ts';
import { account } from './figures.ts';
import { method } from './method.ts';

const swav = (settings: object = {}) => parseRunConfig({ method: { name: 'swav' }, ...settings });
const config = swav();
const steps = (n: number, loss: number, figures: Record<string, number> = {}) =>
  Array.from({ length: n }, (_, i) => metric(20 * (i + 1), { loss, figures }));
const alarm = (metrics: ReturnType<typeof steps>, of = config) =>
  account.alarm(lastStepsOf(metrics, account.charts), of);

test('guessing is ln K, and a nearest prototype by chance 1 / K', () => {
  const { loss, figures } = account.chance(config);
  expect(loss).toBeCloseTo(8.006, 3);
  expect(figures.agreement).toBe(1 / 3000);
});

test('uniform codes, and images that are all alike, are a collapse; a loss of guessing is said after some time', () => {
  expect(alarm(steps(50, 7, { code_entropy: 7.99 }))?.kind).toBe('collapsed');
  expect(alarm(steps(50, 7, { code_entropy: 3, cosine_images: 0.97 }))?.kind).toBe('collapsed');
  expect(alarm(steps(50, 8.1, { code_entropy: 3 }))?.kind).toBe('not-learning');
  expect(alarm(steps(20, 8.1, { code_entropy: 3 }))).toBeNull(); // it begins above
  expect(alarm(steps(50, 6, { code_entropy: 3, cosine_images: 0.1 }))).toBeNull();
});

test('what to do names the settings of this very run', () => {
  const bare = swav({ crops: { small: 0 } });
  expect(alarm(steps(50, 7, { code_entropy: 7.99 }), bare)?.advice).toContain('neither a queue nor small crops');
  const { advice } = alarm(steps(50, 7, { code_entropy: 7.99 }), swav({ prototypes: { epsilon: 0.03 } }))!;
  expect(advice).not.toContain('epsilon');
});

test('few rows for many prototypes are said, and sizes that do not fit are refused with the nearest', () => {
  expect(method.notices(swav(), 0).join()).toContain('balanced over 64 crops, and there are 3,000 prototypes');
  expect(method.notices(swav({ queue: { length: 3840 } }), 0)).toEqual([]);
  const problems = (settings: object) =>
    schemaFor({ method: { name: 'swav' } })
      .safeParse({ method: { name: 'swav' }, ...settings })
      .error?.issues.map(({ path, message }) => `${path.join('.')} ${message}`) ?? [];
  expect(problems({ queue: { length: 32 } })).toEqual(['queue.length must hold a micro-batch, or be 0; nearest: 64']);
  expect(problems({ crops: { small_size: 90 } })).toEqual([
    'crops.small_size must be a multiple of model.patch_size (16); nearest: 96',
  ]);
  expect(problems({ model: { position: 'shared-relative-bias' } })[0]).toContain('nearest: "absolute"');
});
