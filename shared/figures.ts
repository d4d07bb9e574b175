import type { Metric } from './run.ts';

/** What a curve can be of: what every step has, or a figure of its method. */
export type Measure = Exclude<keyof Metric, 'figures'> | (string & {});

/** Of a step, by name: what every step has, or a figure of its method; null where it was not measured, or is no number. */
export function figureOf(metric: Metric, key: Measure): number | null {
  const value =
    key in metric && key !== 'figures' ? metric[key as Exclude<keyof Metric, 'figures'>] : metric.figures[key];
  return typeof value === 'number' && !Number.isNaN(value) ? value : null;
}

/** A step with its figures beside the rest, as files and `--json` have them; null stays null. */
export function flat(metric: Metric | null): Record<string, number | null> | null {
  if (metric === null) return null;
  const { figures, ...rest } = metric;
  return { ...figures, ...rest };
}
