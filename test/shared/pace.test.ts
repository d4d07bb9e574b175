import { expect, test } from 'vitest';
import { followPace, PACE_STEPS, paceOf, timeLeftAt } from '../../shared/pace.ts';

const steps = (...speeds: number[]) => speeds.map((images_per_s) => ({ images_per_s }));
const run = { step: 100, total_steps: 300, config: { train: { batch_size: 8, accumulation: 2 } } };

test('time that is left is the mean of steps: times are added, not speeds', () => {
  // Half of the images at 10 a second and half at 30: 1/15 s an image.
  expect(paceOf(steps(5, ...Array.from({ length: 40 }, (_, i) => (i % 2 ? 10 : 30))))).toBeCloseTo(1 / 15, 12);
  expect(timeLeftAt(1 / 15, run)).toBeCloseTo((200 * 16 * 1000) / 15, 6);
});

test('one slow step among many moves the time that is left a little, and not many times over', () => {
  const even = Array.from({ length: PACE_STEPS }, () => 100);
  const before = timeLeftAt(paceOf(steps(...even)), run)!;
  const after = timeLeftAt(followPace(paceOf(steps(...even)), { images_per_s: 10 }), run)!;
  expect(after / before).toBeGreaterThan(1);
  expect(after / before).toBeLessThan(1.25);
});

test('following step by step comes to the pace of the last steps', () => {
  let pace: number | null = null;
  for (let i = 0; i < 400; i++) pace = followPace(pace, { images_per_s: i < 100 ? 10 : 40 });
  expect(pace).toBeCloseTo(1 / 40, 3);
});

test('what is not known is not said', () => {
  expect(paceOf([])).toBeNull();
  expect(paceOf(steps(Number.NaN, 0, Infinity))).toBeNull();
  expect(followPace(0.1, { images_per_s: Number.NaN })).toBe(0.1);
  expect(timeLeftAt(null, run)).toBeNull();
  expect(paceOf(steps(20))).toBeCloseTo(0.05, 12);
  expect(paceOf(steps(1, 20, 20))).toBeCloseTo(0.05, 12); // the first step warms up
});
