import { expect, test } from 'vitest';
import {
  COLOUR_COUNT,
  contrast,
  faintColour,
  lineColour,
  lineDash,
  placesOf,
  STYLES,
  styleAt,
} from '../../shared/palette.ts';

const GROUNDS = { light: ['#ffffff', '#f6f7f8'], dark: ['#1d2126', '#15181c'] } as const;
const THEMES = ['light', 'dark'] as const;
const colours = (theme: (typeof THEMES)[number]) =>
  Array.from({ length: COLOUR_COUNT }, (_, colour) => lineColour({ colour, dash: 0 }, theme));

/** CIE L*a*b* of `#rrggbb`, D65: distances in it are about those that an eye sees (ISO/CIE 11664-4). */
function lab(colour: string): number[] {
  const [r, g, b] = [1, 3, 5]
    .map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)) as [number, number, number];
  const [x, y, z] = [
    (0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047,
    0.2126729 * r + 0.7151522 * g + 0.072175 * b,
    (0.0193339 * r + 0.119192 * g + 0.9503041 * b) / 1.08883,
  ].map((t) => (t > 216 / 24389 ? Math.cbrt(t) : (24389 / 27) * (t / 116) + 16 / 116)) as [number, number, number];
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

test('contrast is that of WCAG', () => {
  expect(contrast('#000000', '#ffffff')).toBeCloseTo(21, 5);
  expect(contrast('#777777', '#ffffff')).toBeCloseTo(4.48, 2);
});

test.each(THEMES)('%s: colours stand out from their ground, and from each other', (theme) => {
  const all = colours(theme);
  for (const colour of all) {
    expect(colour).toMatch(/^#[0-9a-f]{6}$/);
    for (const ground of GROUNDS[theme]) expect(contrast(colour, ground), colour).toBeGreaterThanOrEqual(3);
  }
  for (const [i, a] of all.entries())
    for (const b of all.slice(0, i))
      expect(Math.hypot(...lab(a).map((v, k) => v - lab(b)[k]!)), `${a} ${b}`).toBeGreaterThan(20);
});

test.each(THEMES)('%s: what was measured is seen behind its curve, in a colour that is its own', (theme) => {
  for (const [i, own] of colours(theme).entries()) {
    const faint = faintColour({ colour: i, dash: 0 }, theme);
    expect(faint).toMatch(/^#[0-9a-f]{6}$/);
    for (const ground of GROUNDS[theme]) {
      expect(contrast(faint, ground), faint).toBeGreaterThan(1.75);
      expect(contrast(faint, ground)).toBeLessThan(contrast(own, ground));
    }
  }
});

test('as many runs as there are styles are told apart, and a run keeps its own whatever stands beside it', () => {
  const ids = Array.from({ length: STYLES }, (_, i) => 5 + i);
  const looks = [...placesOf(ids).values()]
    .map(styleAt)
    .map((style) => `${lineColour(style, 'light')} ${lineDash(style).join()}`);
  expect(new Set(looks).size).toBe(36);
  for (const id of ids) expect(placesOf([id]).get(id)).toEqual(placesOf(ids).get(id));
});

test('only where two would look alike the later one looks otherwise', () => {
  const two = placesOf([1, 1 + STYLES]);
  expect([...two.values()]).toEqual([0, 1]);
  const many = Array.from({ length: 100 }, (_, i) => i + 1);
  expect(placesOf(many).size).toBe(100);
  expect(placesOf([0, -3, 1.5e9]).size).toBe(3);
});

test('a run that gave way keeps the place that it got, beside others too', () => {
  const known = { [1 + STYLES]: 7 };
  expect(placesOf([1, 1 + STYLES], known).get(1 + STYLES)).toBe(7);
  expect([...placesOf([1 + STYLES, 8], known).values()]).toEqual([7, 8]); // place 7 is 8's own
});
