/** Numbers in words, with the precision that they have. */

export function bytes(value: number): string {
  for (const [unit, size] of [
    ['TB', 1e12],
    ['GB', 1e9],
    ['MB', 1e6],
    ['kB', 1e3],
  ] as const) {
    if (value >= size) return `${(value / size).toFixed(value / size < 10 ? 1 : 0)} ${unit}`;
  }
  return `${value} B`;
}

/** @param ms milliseconds */
export function duration(ms: number): string {
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.round(minutes / 60 / 24)} days`;
}

export const count = (value: number): string => value.toLocaleString('en');
export const percent = (share: number | null | undefined): string =>
  share === null || share === undefined || Number.isNaN(share) ? '–' : `${(share * 100).toFixed(1)} %`;
export const fixed = (value: number | null | undefined, digits: number): string =>
  value === null || value === undefined || Number.isNaN(value) ? '–' : value.toFixed(digits);

/** A date as short as it can be: today's time, else the day. */
export function when(time: number | null): string {
  if (time === null) return '–';
  const date = new Date(time);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday
    ? date.toLocaleTimeString('en', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
    : date.toLocaleDateString('en', { year: 'numeric', month: 'short', day: 'numeric' });
}

/** A value of a setting as it is written in a command. */
export const setting = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

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
