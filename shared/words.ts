/**
 * Numbers and dates as a person reads them, with the precision that they have: for the window, the command line and
 * files alike.
 */

/** What stands where there is nothing: not measured, not known, not yet. */
export const NONE = '–';

/** @param digits that are shown of it at least: more where it is held against another size that is near */
export function bytes(value: number, digits = 2): string {
  for (const [unit, size] of [
    ['TB', 1e12],
    ['GB', 1e9],
    ['MB', 1e6],
    ['kB', 1e3],
  ] as const) {
    if (value < size) continue;
    const whole = String(Math.floor(value / size)).length;
    return `${(value / size).toFixed(Math.max(0, digits - whole))} ${unit}`;
  }
  return `${value} B`;
}

/** @param ms milliseconds */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return NONE;
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return plural(Math.round(minutes / 60 / 24), 'day');
}

export const count = (value: number): string => value.toLocaleString('en');
const isNone = (value: number | null | undefined): value is null | undefined =>
  value === null || value === undefined || Number.isNaN(value);

/** @param share 0 to 1 */
export const percent = (share: number | null | undefined, digits = 1): string =>
  isNone(share) ? NONE : `${(share * 100).toFixed(digits)} %`;
export const fixed = (value: number | null | undefined, digits: number): string =>
  isNone(value) ? NONE : value.toFixed(digits);

/** A date as short as it can be: today's time, else the day. @param time milliseconds since 1970 */
export function when(time: number | null): string {
  if (time === null) return NONE;
  const date = new Date(time);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday
    ? date.toLocaleTimeString('en', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
    : date.toLocaleDateString('en', { year: 'numeric', month: 'short', day: 'numeric' });
}

/** Day and time on the reader's clock, of one width: 2026-03-01 09:05. @param time milliseconds since 1970 */
export function dayAndTime(time: number | null): string {
  if (time === null) return NONE;
  const date = new Date(time);
  const two = (n: number) => String(n).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** A value of a setting as it is written in a command. */
export const setting = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

/** The networks whose figures stand beside each other in an evaluation. */
export const NETWORKS = { trained: 'trained', untrained: 'untrained', official: 'imported' } as const;

/** As it begins a sentence; a word with capitals of its own, as k-NN, stays. */
export const capital = (text: string): string =>
  /^\S*[A-Z]/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);

/** What a fine-tuning started from. */
export const FINE_TUNED = {
  trained: 'fine-tuned',
  untrained: 'fine-tuned, untrained',
  official: 'fine-tuned, imported',
} as const;

/** A text of at most so many letters, cut in its middle: names that begin alike often differ at their end. */
export function shortened(text: string, most: number): string {
  const letters = Array.from(text);
  if (letters.length <= most) return text;
  const first = Math.ceil((most - 1) / 2);
  return `${letters.slice(0, first).join('')}…${letters.slice(letters.length - (most - 1 - first)).join('')}`;
}
