/**
 * How curves are told apart: twelve colours, each in three dashes, the same in a table, a legend, a chart and a file. The
 * colours are data and not CSS: a minifier may write those shorter, and arithmetic on them must not depend on that.
 */
export type Ground = 'light' | 'dark';

/** In pairs: a curve keeps its hue when the theme changes. Contrast to their grounds is at least 3 (WCAG 2.2, 1.4.11). */
const COLOURS: Record<Ground, readonly string[]> = {
  light: [
    ...['#0072b2', '#d55e00', '#007a5a', '#aa4488', '#a68a00', '#c00030'],
    ...['#5a20e0', '#0f8fa3', '#5a3414', '#4f9a3a', '#14233f', '#7d7d7d'],
  ],
  dark: [
    ...['#56b4e9', '#f0894a', '#35c49b', '#dd8ec2', '#d6ad00', '#ff3d57'],
    ...['#9a70ff', '#a5f0ff', '#b08d5c', '#8ee000', '#f5f0ea', '#858c94'],
  ],
};
/** What curves are drawn on. */
const GROUNDS: Record<Ground, string> = { light: '#ffffff', dark: '#15181c' };
/** Lengths of dashes and gaps, pixels; none for a solid line. */
export const DASHES: readonly (readonly number[])[] = [[], [7, 4], [2, 3]];

export const COLOUR_COUNT = COLOURS.light.length;
/** Curves that can be told apart. */
export const STYLES = COLOUR_COUNT * DASHES.length;

export interface LineStyle {
  /** From 0; an index of the palette. */
  colour: number;
  /** From 0; an index of `DASHES`. */
  dash: number;
}

/** The style of a place in a list, from 0: colours first, then dashes, then from the beginning. */
export const styleAt = (place: number): LineStyle => ({
  colour: place % COLOUR_COUNT,
  dash: Math.floor(place / COLOUR_COUNT) % DASHES.length,
});

export const lineColour = ({ colour }: LineStyle, ground: Ground): string => COLOURS[ground][colour % COLOUR_COUNT]!;
export const lineDash = ({ dash }: LineStyle): readonly number[] => DASHES[dash % DASHES.length]!;

/**
 * Places in the palette of runs that are shown together. A run's id decides, so that it looks the same in any company; where two
 * would look alike, the later one takes the next free place. Beyond `STYLES` runs places repeat.
 * @param known places of runs that had to give way before: they keep them
 */
export function placesOf(ids: readonly number[], known: Readonly<Record<number, number>> = {}): Map<number, number> {
  const taken = new Set<number>();
  const found = new Map<number, number>();
  for (const id of ids) {
    if (found.has(id)) continue;
    if (taken.size === STYLES) taken.clear();
    let place = known[id] ?? placeOf(id);
    while (taken.has(place)) place = (place + 1) % STYLES;
    taken.add(place);
    found.set(id, place);
  }
  return found;
}
/** The place that is a run's own, whatever else there is. */
export const placeOf = (id: number): number => (((id - 1) % STYLES) + STYLES) % STYLES;

const channels = (colour: string) => [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
/** Relative luminance (WCAG 2.2). @param colour `#rrggbb` */
const luminance = (colour: string) =>
  channels(colour)
    .map((value) => value / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i]!, 0);

/** Contrast of two colours, 1 to 21 (WCAG 2.2). */
export function contrast(a: string, b: string): number {
  const [x, y] = [luminance(a) + 0.05, luminance(b) + 0.05];
  return Math.max(x, y) / Math.min(x, y);
}

/** Least contrast of a faint curve: seen, and still behind the one that it belongs to. */
const FAINT = 2;

/** A curve's colour for what was measured, behind the curve that is smoothed: opaque, towards the ground. */
export function faintColour(style: LineStyle, ground: Ground): string {
  const [own, below] = [channels(lineColour(style, ground)), channels(GROUNDS[ground])];
  const mixed = (share: number) =>
    `#${own
      .map((c, i) =>
        Math.round(share * c + (1 - share) * below[i]!)
          .toString(16)
          .padStart(2, '0'),
      )
      .join('')}`;
  let share = 0.3;
  while (share < 0.9 && contrast(mixed(share), GROUNDS[ground]) < FAINT) share += 0.05;
  return mixed(share);
}
