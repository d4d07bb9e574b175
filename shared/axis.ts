/**
 * Geometry of a chart's axes: limits that hold the values, where the lines go, and their labels. Plain numbers, for the
 * window's charts and for those of a document. What an axis is given may be any finite numbers; it is left with some
 * width, labels that differ from each other, and places between 0 and 1.
 */
export interface Tick {
  value: number;
  /** From the axis' low end, 0, to its high end, 1. */
  at: number;
  label: string;
}
export interface Axis {
  low: number;
  high: number;
  /** In order; at most one more than was wanted. */
  ticks: Tick[];
  /** Where a value is; outside 0 and 1 beyond the limits. */
  place(value: number): number;
  /** The value at a place. */
  value(at: number): number;
}
export type Reach = readonly [low: number, high: number];
export interface AxisOptions {
  /** How many lines there is room for; at least 3 are taken. */
  wanted?: number;
  /** Room at both ends, share of the reach. */
  margin?: number;
  /** Written behind each label. */
  suffix?: string;
}

/** `step` has whole numbers alone; `time` is in seconds. */
export const AXES = ['linear', 'log', 'step', 'time'] as const;
export type AxisKind = (typeof AXES)[number];

/** Least width of an axis, beside its values: labels of more digits than this say nothing to a reader. */
const FINEST = 1e-9;
/** Least width at all, and least value on a logarithmic axis: numbers that are smaller lose digits. */
const LEAST = 1e-300;
/** Numbers from 10 to this power, and below a thousandth, are written with a power of ten. */
const PLAIN_BELOW = 6;
const PLAIN_ABOVE = -3;

/** Whether a value has a place on an axis: it is finite and, on a logarithmic one, above 0. */
export const hasPlace = (value: number | null | undefined, log: boolean): value is number =>
  typeof value === 'number' && Number.isFinite(value) && (!log || value >= LEAST);

/** Least and greatest of the values that have a place; null where none has. */
export function reachOf(rows: Iterable<Iterable<number | null | undefined>>, log = false): [number, number] | null {
  let [low, high] = [Infinity, -Infinity];
  for (const row of rows) {
    for (const value of row) {
      if (!hasPlace(value, log)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low <= high ? [low, high] : null;
}

/** An axis for the values of a reach (`reachOf`): values that have no place are the caller's to leave out. */
export function axisOf(kind: AxisKind, [a, b]: Reach, { wanted = 6, margin = 0, suffix = '' }: AxisOptions = {}): Axis {
  const [low, high] = a <= b ? [a, b] : [b, a];
  const room = Math.max(3, Math.floor(wanted));
  if (kind === 'log') return logAxis(low, high, room, margin, suffix);
  if (kind === 'step') {
    const [from, to] = [Math.floor(low), Math.ceil(high)];
    const [least, most] = widened(from === to ? from - 1 : from, from === to ? to + 1 : to, 0);
    return straight(least, most, decimalTicks(least, most, room, suffix, 0));
  }
  const [least, most] = widened(low, high, margin);
  return straight(
    least,
    most,
    kind === 'time' ? timeTicks(least, most, room) : decimalTicks(least, most, room, suffix),
  );
}

const finite = (value: number) => Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, value));
const within = (at: number) => Math.max(0, Math.min(1, at));

/** Limits with some width and with room at both ends. Halves are taken: the whole width may be more than a number holds. */
function widened(low: number, high: number, margin: number): [number, number] {
  const half = high / 2 - low / 2;
  const size = Math.max(Math.abs(low), Math.abs(high));
  if (half === 0) {
    const pad = size === 0 ? 1 : Math.max(size * 0.06, LEAST);
    return [finite(low - pad), finite(high + pad)];
  }
  const least = Math.max(size * FINEST, LEAST) / 2;
  const pad = half < least ? least : half * (2 * margin);
  return [finite(low - pad), finite(high + pad)];
}

function straight(low: number, high: number, ticks: Omit<Tick, 'at'>[]): Axis {
  const half = high / 2 - low / 2;
  const place = (value: number) => (value / 2 - low / 2) / half;
  return {
    low,
    high,
    place,
    value: (at) => finite(2 * (low / 2 + at * half)),
    ticks: ticks.map((tick) => ({ ...tick, at: within(place(tick.value)) })),
  };
}

/** A step of 1, 2 or 5 times a power of ten, so that at most `wanted` of them fit. */
function roundStep(low: number, high: number, wanted: number, leastPower: number): [factor: number, power: number] {
  const rough = high / wanted - low / wanted;
  const power = Math.floor(Math.log10(rough));
  if (power < leastPower) return [1, leastPower];
  const factor = [1, 2, 5].find((m) => m * 10 ** power >= rough * (1 - FINEST));
  return factor === undefined ? [1, power + 1] : [factor, power];
}

/** From the decimal digits: `3 * 0.1` is not 0.3. */
const decimal = (whole: number, power: number) => Number(`${whole}e${power}`) + 0;

function multiples(low: number, high: number, step: number): number[] {
  const first = Math.ceil(low / step - FINEST);
  const last = Math.floor(high / step + FINEST);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
}

function decimalTicks(low: number, high: number, wanted: number, suffix: string, leastPower = -400) {
  const [factor, power] = roundStep(low, high, wanted, leastPower);
  const values = multiples(low, high, decimal(factor, power)).map((i) => decimal(i * factor, power));
  const write = writer(values, power);
  return values.map((value) => ({ value, label: write(value) + suffix }));
}

/** Writes multiples of a power of ten with as many digits as tell them apart. */
function writer(values: readonly number[], power: number): (value: number) => string {
  const most = Math.max(0, ...values.map(Math.abs));
  const top = most === 0 ? 0 : magnitude(most);
  if (top >= PLAIN_BELOW || top < PLAIN_ABOVE) return (value) => scientific(value, power);
  const digits = Math.max(0, -power);
  return (value) => plain(value, digits);
}

const magnitude = (value: number) => Number(value.toExponential().split('e')[1]);
const plain = (value: number, digits: number) =>
  (value + 0).toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });

function scientific(value: number, power: number): string {
  if (value === 0) return '0';
  const digits = Math.max(0, Math.min(15, magnitude(Math.abs(value)) - power));
  const [mantissa, exponent] = value.toExponential(digits).split('e') as [string, string];
  const short = mantissa.includes('.') ? mantissa.replace(/\.?0+$/, '') : mantissa;
  return `${short}e${Number(exponent)}`;
}

/** Everything is done with logarithms: the limits themselves may be beyond what a number holds. */
function logAxis(low: number, high: number, wanted: number, margin: number, suffix: string): Axis {
  let [from, to] = [Math.log10(low), Math.log10(high)];
  const pad = to - from < FINEST ? Math.log10(1.3) : (to - from) * margin;
  [from, to] = [from - pad, to + pad];
  const placeOf = (logarithm: number) => (logarithm - from) / (to - from);
  const raised = (logarithm: number) => Math.max(Number.MIN_VALUE, finite(10 ** logarithm));
  return {
    low: Math.min(low, raised(from)), // raising a logarithm rounds
    high: Math.max(high, raised(to)),
    place: (value) => placeOf(Math.log10(value)),
    value: (at) => raised(from + at * (to - from)),
    ticks: logTicks(from, to, wanted, placeOf, suffix),
  };
}

function logTicks(from: number, to: number, wanted: number, placeOf: (logarithm: number) => number, suffix: string) {
  const decades = to - from;
  const powers = multiples(from, to, Math.max(1, Math.ceil(decades / wanted))).map(
    (i) => i * Math.max(1, Math.ceil(decades / wanted)),
  );
  const all = (factors: readonly number[]) =>
    Array.from({ length: Math.floor(to) - Math.floor(from) + 1 }, (_, i) => Math.floor(from) + i)
      .flatMap((power) => factors.map((factor) => ({ factor, power, at: placeOf(power + Math.log10(factor)) })))
      .filter(({ at }) => at >= -FINEST && at <= 1 + FINEST);
  const fine = decades * 3 <= wanted + 1 ? all([1, 2, 5]) : [];
  const places =
    fine.length >= 3 && fine.length <= wanted + 1
      ? fine
      : powers.map((power) => ({ factor: 1, power, at: placeOf(power) }));
  if (places.length >= 3 || decades > wanted / 3)
    return places
      .map(({ factor, power, at }) => {
        const value = decimal(factor, power);
        const isPlain = power < PLAIN_BELOW && power >= PLAIN_ABOVE;
        const label = isPlain ? plain(value, Math.max(0, -power)) : `${factor}e${power}`;
        return { value, at: within(at), label: label + suffix };
      })
      .filter(({ value }) => value > 0 && Number.isFinite(value));
  // Less than a decade or so: round values, which are not even on this axis; those that come too near are left out.
  const [low, high] = [10 ** from, finite(10 ** to)];
  let before = -1;
  return decimalTicks(low, high, wanted, suffix)
    .map((tick) => ({ ...tick, at: placeOf(Math.log10(tick.value)) }))
    .filter(({ at }) => {
      const isKept = at >= -FINEST && at <= 1 + FINEST && at - before >= 0.5 / wanted;
      if (isKept) before = at;
      return isKept;
    })
    .map((tick) => ({ ...tick, at: within(tick.at) }));
}

const [MINUTE, HOUR, DAY] = [60, 3600, 86_400];
const TIME_STEPS = [1, 2, 5, 10, 15, 30].flatMap((n) => [n, n * MINUTE]).concat([1, 2, 3, 6, 12].map((n) => n * HOUR));

/** Seconds, at places that clocks have. */
function timeTicks(low: number, high: number, wanted: number): Omit<Tick, 'at'>[] {
  const rough = high / wanted - low / wanted;
  if (rough > 12 * HOUR)
    return decimalTicks(low / DAY, high / DAY, wanted, ' d', 0).map(({ value, label }) => ({
      value: finite(value * DAY),
      label,
    }));
  const step = TIME_STEPS.sort((a, b) => a - b).find((one) => one >= rough && rough > 0.5);
  if (step !== undefined)
    return multiples(low, high, step).map((i) => ({ value: i * step, label: timeLabel(i * step, 0) }));
  const [factor, power] = roundStep(low, high, wanted, -400);
  return multiples(low, high, decimal(factor, power)).map((i) => {
    const value = decimal(i * factor, power);
    return { value, label: timeLabel(value, -power) };
  });
}

/** `1 h 5 min`, `2 d`, `90.5 s`: the parts that are not zero. @param digits of the seconds */
function timeLabel(seconds: number, digits: number): string {
  const size = Math.abs(seconds);
  if (size < MINUTE) return size === 0 ? '0 s' : `${scientificOrPlain(seconds, digits)} s`;
  const whole = Math.floor(size);
  const rest = digits > 0 ? (size - Math.floor(size / MINUTE) * MINUTE).toFixed(digits) : String(whole % MINUTE);
  const parts = [
    [Math.floor(whole / DAY), 'd'],
    [Math.floor(whole / HOUR) % 24, 'h'],
    [Math.floor(whole / MINUTE) % 60, 'min'],
  ] as const;
  const words = parts.filter(([n]) => n > 0).map(([n, unit]) => `${n} ${unit}`);
  if (Number(rest) > 0) words.push(`${Number(rest)} s`);
  return `${seconds < 0 ? '-' : ''}${words.join(' ')}`;
}

const scientificOrPlain = (value: number, digits: number) =>
  digits > 6 ? scientific(value, -digits) : plain(value, Math.max(0, digits));
