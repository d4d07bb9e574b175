/** Arithmetic of curves: no drawing, so that it can be tested. Values that were not measured are null. */
export type Values = readonly (number | null)[];

/**
 * Exponential moving average, corrected for its start as Adam's moments are; what is null stays null.
 * @param weight of what was before, 0 (none) to below 1
 */
export function smooth(values: Values, weight: number): (number | null)[] {
  if (weight <= 0) return [...values];
  let mean = 0;
  let sum = 0;
  return values.map((value) => {
    if (value === null || !Number.isFinite(value)) return null;
    mean = weight * mean + (1 - weight) * value;
    sum = weight * sum + (1 - weight);
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

/** Curves on a common axis: every place that any of them has, in order. Places that one lacks are undefined there. */
export function align(curves: readonly { x: readonly number[]; y: Values }[]): {
  x: number[];
  y: (number | null | undefined)[][];
} {
  const [first] = curves;
  // Curves of one run: nothing to align, and this is done several times a second.
  if (first && curves.every((curve) => curve.x === first.x))
    return { x: [...first.x], y: curves.map(({ y }) => [...y]) };
  const x = [...new Set(curves.flatMap((curve) => [...curve.x]))].sort((a, b) => a - b);
  const at = new Map(x.map((value, i) => [value, i]));
  const y = curves.map((curve) => {
    const row: (number | null | undefined)[] = Array(x.length).fill(undefined);
    curve.x.forEach((value, i) => {
      row[at.get(value)!] = curve.y[i];
    });
    return row;
  });
  return { x, y };
}

/** Whether any curve has a value that can be drawn: on a logarithmic axis only what is above 0. */
export const isDrawable = (rows: readonly Values[], log: boolean): boolean =>
  rows.some((row) => row.some((value) => value !== null && Number.isFinite(value) && (!log || value > 0)));

/** Where a logarithmic axis has grid lines, of the places offered: over more than two decades at powers of ten alone. */
export function logGrid(places: readonly number[]): (number | null)[] {
  const decades = Math.log10((places.at(-1) ?? 1) / (places[0] ?? 1));
  const isPower = (value: number) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-6;
  return places.map((value) => (decades <= 2 || isPower(value) ? value : null));
}
