import { type Axis, type AxisKind, axisOf, hasPlace, reachOf } from '../../shared/axis.ts';
import type { LineStyle } from '../../shared/palette.ts';
import { align, smooth, type Values } from './series.ts';

export interface Line {
  label: string;
  x: readonly number[];
  y: Values;
  /** By its place among the lines where it is not given. */
  style?: LineStyle;
}
/** A value that does not change, with its name on it. */
export interface Reference {
  label: string;
  value: number;
}
export interface ChartInput {
  lines: readonly Line[];
  references?: readonly Reference[];
  /** Weight of what was before, 0 (none) to below 1. */
  smoothing?: number;
  log?: boolean;
  /** What the vertical axis shows at least; what the lines need where null. */
  range?: readonly [number, number] | null;
  xKind?: AxisKind;
  /** Of the drawing, pixels. */
  width: number;
  height: number;
  /** Behind the labels of the vertical axis. */
  suffix?: string;
}

/** What is drawn of a line. */
export interface Row {
  /** Index of its line. */
  line: number;
  /** What was measured, behind what is smoothed. */
  isRaw: boolean;
  /** Places on the vertical axis, 0 to 1; null where there is none. */
  places: (number | null)[];
  /** A single value is a point, as no line goes through it. */
  isPoint: boolean;
}

export interface Drawing {
  x: Axis;
  y: Axis;
  /** Every place that any line has, in order. */
  xs: number[];
  /** The same on the horizontal axis, 0 to 1. */
  xPlaces: number[];
  /** In the order in which they are drawn: the first line comes last, and so lies on top; dashed ones lie above solid ones. */
  rows: Row[];
  /** By line: the values that a reader is told, at `xs`. */
  values: (number | null)[][];
}

/** Room that a label takes, pixels. */
const [LABEL_WIDTH, TIME_WIDTH, LABEL_HEIGHT] = [70, 100, 34];
/** Room at both ends of the vertical axis, share of it. */
const MARGIN = 0.06;

/**
 * All of a chart but its pixels. Every number in it lies between 0 and 1, whatever the values are: what draws it sees no
 * value that it could lose its way with. Null where no value has a place.
 */
export function arrange(input: ChartInput): Drawing | null {
  const { lines, references = [], smoothing = 0, log = false, range = null, xKind = 'step', suffix = '' } = input;
  const aligned = align(lines);
  const known = aligned.y.map((row) => row.map((value) => (hasPlace(value, log) ? value : null)));
  const reach = reachOf(known, log);
  const across = reachOf([aligned.x]);
  if (!reach || !across) return null;
  const levels = reachOf([references.map(({ value }) => value), range ?? []], log);
  const [low, high] = levels ? [Math.min(reach[0], levels[0]), Math.max(reach[1], levels[1])] : reach;
  const isFixed = range !== null && low === range[0] && high === range[1];
  const x = axisOf(xKind, across, { wanted: input.width / (xKind === 'time' ? TIME_WIDTH : LABEL_WIDTH) });
  const y = axisOf(log ? 'log' : 'linear', [low, high], {
    wanted: input.height / LABEL_HEIGHT,
    margin: isFixed ? 0 : MARGIN,
    suffix,
  });
  const values = smoothing > 0 ? known.map((row) => smooth(row, smoothing)) : known;
  const row = (of: readonly (number | null)[], line: number, isRaw: boolean): Row => {
    const places = of.map((value) => (hasPlace(value, log) ? within(y.place(value)) : null));
    return { line, isRaw, places, isPoint: known[line]!.filter((value) => value !== null).length === 1 };
  };
  // Dashed lines lie on solid ones: where both are in one place, both are seen.
  const isDashed = (i: number) => Number((lines[i]!.style?.dash ?? 0) > 0);
  const order = lines.map((_, i) => lines.length - 1 - i).sort((a, b) => isDashed(a) - isDashed(b));
  return {
    x,
    y,
    xs: aligned.x,
    values,
    xPlaces: aligned.x.map((value) => within(x.place(value))),
    rows: [
      ...(smoothing > 0 ? order.map((i) => row(known[i]!, i, true)) : []),
      ...order.map((i) => row(values[i]!, i, false)),
    ],
  };
}

const within = (at: number) => Math.max(0, Math.min(1, at));

/** How far from a curve a pointer may be to mean it, share of the height. */
const REACH = 0.15;

/**
 * The line that passes nearest below or above a point; null where none is near. Between its values a line is straight.
 * @param at index of the place among all that any line has @param height of the point, 0 to 1
 */
export function nearestLine({ rows, xPlaces }: Drawing, at: number, height: number): number | null {
  let [nearest, least]: [number | null, number] = [null, REACH];
  for (const { line, isRaw, places } of rows) {
    const here = isRaw ? null : placeAt(places, xPlaces, at);
    if (here === null || Math.abs(here - height) > least) continue;
    [nearest, least] = [line, Math.abs(here - height)];
  }
  return nearest;
}

function placeAt(places: readonly (number | null)[], xPlaces: readonly number[], at: number): number | null {
  let [before, after] = [at, at];
  while (before >= 0 && (places[before] ?? null) === null) before--;
  while (after < places.length && (places[after] ?? null) === null) after++;
  const [low, high] = [places[before] ?? null, places[after] ?? null];
  if (low === null || high === null) return null; // the line has not begun there, or has ended
  const width = xPlaces[after]! - xPlaces[before]!;
  return width > 0 ? low + ((high - low) * (xPlaces[at]! - xPlaces[before]!)) / width : low;
}

/** What was measured last, at a place or before it: some figures are not measured at each step. */
export function knownAt(values: readonly (number | null)[], at: number | null): number | null {
  for (let i = at === null ? values.length - 1 : Math.min(at, values.length - 1); i >= 0; i--) {
    const value = values[i];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}
