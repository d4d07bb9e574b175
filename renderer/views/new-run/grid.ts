import type { JsonValue } from './recipe.ts';

/** An axis of an ablation: a field, and its values as they were typed. */
export interface Axis {
  key: string;
  text: string;
}
export type Combination = { key: string; value: JsonValue }[];
/** The program takes up to 50 values an axis; a person reads a table of so many. */
export const MOST_RUNS = 100;

/** Values of an axis: comma separated, JSON where it is JSON (`[0.1, 0.5]`, `null`, `true`), else words; each once. */
export function parseValues(text: string): JsonValue[] {
  const parts: string[] = [];
  let depth = 0;
  let part = '';
  for (const c of text) {
    if (c === '[') depth++;
    if (c === ']') depth--;
    if (c === ',' && depth <= 0) {
      parts.push(part);
      part = '';
    } else part += c;
  }
  const values = [...parts, part]
    .map((p) => p.trim())
    .filter(Boolean)
    .map(parseValue);
  return values.filter((value, i) => values.findIndex((v) => JSON.stringify(v) === JSON.stringify(value)) === i);
}

function parseValue(text: string): JsonValue {
  if (text === 'none') return text;
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    const number = Number(text); // `.4` is a number, though not JSON's
    return Number.isNaN(number) ? text : number;
  }
}

/** Every combination of the axes' values; the last axis changes first. No axis with values: none. */
export function combinations(axes: readonly Axis[]): Combination[] {
  const filled = axes.map(({ key, text }) => ({ key, values: parseValues(text) })).filter((a) => a.values.length > 0);
  if (filled.length === 0) return [];
  return filled.reduce<Combination[]>(
    (all, { key, values }) => all.flatMap((before) => values.map((value) => [...before, { key, value }])),
    [[]],
  );
}

/** Adds an axis, or replaces the values of the one that has its key; of more than two the older goes. */
export const withAxis = (axes: readonly Axis[], axis: Axis): Axis[] =>
  axes.some((a) => a.key === axis.key) ? axes.map((a) => (a.key === axis.key ? axis : a)) : [...axes, axis].slice(-2);

/** Axes as the address has them. */
export function parseAxes(text: string | undefined): Axis[] {
  try {
    const rows: unknown = JSON.parse(text ?? '[]');
    if (!Array.isArray(rows)) return [];
    return rows
      .filter((row): row is [string, string] => Array.isArray(row) && row.every((part) => typeof part === 'string'))
      .slice(0, 2)
      .map(([key, text]) => ({ key, text }));
  } catch {
    return [];
  }
}
export const writeAxes = (axes: readonly Axis[]): string | null =>
  axes.length === 0 ? null : JSON.stringify(axes.map(({ key, text }) => [key, text]));
