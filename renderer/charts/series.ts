import { hasPlace } from '../../shared/axis.ts';

/** Arithmetic of curves: no drawing, so that it can be tested. Values that were not measured are null. */
export type Values = readonly (number | null)[];

/** A weight of 1 would never leave where it began. */
const HEAVIEST = 0.999;

/**
 * Exponential moving average, corrected for its start as Adam's moments are; what is null stays null.
 * @param weight of what was before, 0 (none) to below 1
 */
export function smooth(values: Values, weight: number): (number | null)[] {
  if (!(weight > 0)) return [...values];
  const kept = Math.min(weight, HEAVIEST);
  let mean = 0;
  let sum = 0;
  return values.map((value) => {
    if (value === null || !Number.isFinite(value)) return null;
    mean = kept * mean + (1 - kept) * value;
    sum = kept * sum + (1 - kept);
    return mean / sum;
  });
}

/** A curve in words, for who cannot see it. */
export function summary(label: string, values: Values, format: (value: number) => string): string {
  const known = values.filter((value): value is number => value !== null && Number.isFinite(value));
  if (known.length === 0) return `${label}: nothing measured yet`;
  let [least, most] = [known[0]!, known[0]!];
  for (const value of known) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return `${label}: last ${format(known.at(-1)!)}, least ${format(least)}, greatest ${format(most)}`;
}

/**
 * Curves on a common axis: every place that any of them has, in order. Places that one lacks are null there, and so is a
 * place that is no number. A clock that was set back gives places out of order, and two steps may have the same time.
 */
export function align(curves: readonly { x: readonly number[]; y: Values }[]): {
  x: number[];
  y: (number | null)[][];
} {
  const [first] = curves;
  // Curves of one run: nothing to align, and this is done several times a second.
  if (first && curves.every((curve) => curve.x === first.x)) {
    if (first.x.every((value, i) => Number.isFinite(value) && (i === 0 || first.x[i - 1]! <= value)))
      return { x: [...first.x], y: curves.map(({ y }) => first.x.map((_, i) => y[i] ?? null)) };
    const order = [...first.x.keys()]
      .filter((i) => Number.isFinite(first.x[i]))
      .sort((a, b) => first.x[a]! - first.x[b]! || a - b);
    return { x: order.map((i) => first.x[i]!), y: curves.map(({ y }) => order.map((i) => y[i] ?? null)) };
  }
  const x = [...new Set(curves.flatMap((curve) => curve.x.filter(Number.isFinite)))].sort((a, b) => a - b);
  const at = new Map(x.map((value, i) => [value, i]));
  const y = curves.map((curve) => {
    const row: (number | null)[] = Array(x.length).fill(null);
    curve.x.forEach((value, i) => {
      const place = at.get(value);
      if (place !== undefined) row[place] = curve.y[i] ?? null;
    });
    return row;
  });
  return { x, y };
}

/** Whether any curve has a value that can be drawn: on a logarithmic axis only what is above 0. */
export const isDrawable = (rows: readonly Values[], log: boolean): boolean =>
  rows.some((row) => row.some((value) => hasPlace(value, log)));
