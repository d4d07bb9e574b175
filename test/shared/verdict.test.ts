import { describe, expect, test } from 'vitest';
import { methodOf, parseRunConfig } from '../../methods/index.ts';
import { asFigures, type FeatureMeasure, measuresIn } from '../../shared/feature-measures.ts';
import { gainOf, idleSince, type Judged, verdictOf } from '../../shared/verdict.ts';
import { metric } from '../store/helpers.ts';

const knn = (step: number, trained: number, untrained = 0.4, images = 400): FeatureMeasure => ({
  step,
  task: 'knn',
  trained,
  untrained,
  images,
  chance: 0.25,
});

test('a gain counts where it is more than chance gives one time in twenty', () => {
  // Of two shares near 0.4 on 400 images one standard error is sqrt(2 * 0.24 / 400) = 0.0346.
  expect(gainOf(knn(1, 0.455))).toBe('no better'); // 1.6 of them
  expect(gainOf(knn(1, 0.48))).toBe('better');
  expect(gainOf(knn(1, 0.46, 0.4, 4000))).toBe('better');
  expect(gainOf(knn(1, 0.3))).toBe('no better');
});

describe('a run that no longer improves', () => {
  const config = parseRunConfig({ train: { steps: 4000 } });
  /** A loss that stays from some step on. */
  const curve = (until: number) =>
    Array.from({ length: 300 }, (_, i) =>
      metric(10 * (i + 1), { loss: 4 - (3 * Math.min(10 * (i + 1), until)) / until }),
    );
  const measures = (until: number) =>
    Array.from({ length: 15 }, (_, i) => knn(200 * (i + 1), 0.4 + (0.4 * Math.min(200 * (i + 1), until)) / until));
  const judged = (until: number, lossUntil = until): Judged => ({
    config,
    status: 'running',
    step: 3000,
    total_steps: 4000,
    error: null,
    metrics: curve(lossUntil),
    measures: measures(until),
  });

  test('is told since when, and that it could stop; one that gains is not', () => {
    expect(idleSince(judged(1000))).toBe(1000);
    expect(idleSince(judged(3000))).toBeNull();
    // Its features wait while the loss still falls: they get longer.
    expect(idleSince(judged(1400, 3000))).toBeNull();
    expect(idleSince(judged(1400))).toBe(1400);
    expect(idleSince(judged(1000, 3000))).toBe(1000);
    const verdict = verdictOf(methodOf(config), judged(1000));
    expect(verdict).toMatchObject({
      kind: 'plateau',
      stop: 'It could stop: nothing gained since step 1,000.',
      better: { changes: { 'train.steps': 1000 } },
    });
    expect(verdictOf(methodOf(config), judged(3000))).toMatchObject({ kind: 'learns', stop: '' });
    // Of one that has ended nothing can stop.
    expect(verdictOf(methodOf(config), { ...judged(1000), status: 'finished' }).stop).toBe('');
  });
});

test('what features were worth is read back as it was stored', () => {
  const one = knn(200, 0.5);
  const { step, ...rest } = one;
  expect(measuresIn([metric(100), { step, figures: asFigures(rest) }])).toEqual([one]);
});

test('a run that was ended by numbers that are none says so, whatever its curve', () => {
  const config = parseRunConfig({ optimizer: { lr: 0.5 } });
  const verdict = verdictOf(methodOf(config), {
    config,
    status: 'failed',
    step: 12,
    total_steps: 500,
    error: 'diverged',
    metrics: [],
    measures: [],
  });
  expect(verdict).toMatchObject({
    kind: 'diverging',
    level: 'bad',
    cause: expect.stringContaining('optimizer.lr is 0.5'),
  });
});
