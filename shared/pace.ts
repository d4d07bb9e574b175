import type { Metric } from './run.ts';

/** Steps over which a pace is averaged: on a busy machine single steps differ several times over. */
export const PACE_STEPS = 50;

const secondsOf = (imagesPerSecond: number): number | null =>
  Number.isFinite(imagesPerSecond) && imagesPerSecond > 0 ? 1 / imagesPerSecond : null;

/**
 * Seconds that an image takes, by the last steps; null where nothing is known. A run's first step, and that of a resume,
 * also compile and warm up: the first of those that are given counts only where it is the only one.
 */
export function paceOf(metrics: readonly Pick<Metric, 'images_per_s'>[]): number | null {
  const known = metrics.slice(-PACE_STEPS).flatMap((m) => secondsOf(m.images_per_s) ?? []);
  const steady = known.length > 1 && metrics.length <= PACE_STEPS ? known.slice(1) : known;
  return steady.length === 0 ? null : steady.reduce((a, b) => a + b, 0) / steady.length;
}

/** A pace after one more step. */
export function followPace(pace: number | null, { images_per_s }: Pick<Metric, 'images_per_s'>): number | null {
  const seconds = secondsOf(images_per_s);
  return seconds === null ? pace : pace === null ? seconds : pace + (seconds - pace) / PACE_STEPS;
}

/** Milliseconds that the rest of a run takes at a pace; null where that cannot be said. */
export function timeLeftAt(
  pace: number | null,
  run: {
    step: number;
    total_steps: number;
    config: { train: { batch_size: number; accumulation: number } };
  },
): number | null {
  const { batch_size, accumulation } = run.config.train;
  return pace === null ? null : Math.max(0, run.total_steps - run.step) * batch_size * accumulation * pace * 1000;
}
