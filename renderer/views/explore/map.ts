/** Geometry of a map of images: plain numbers, so that it is tested without a window. */
import { reachOf } from '../../../shared/axis.ts';
import { csv } from '../../../shared/csv.ts';

/** Where a map is seen: screen = (map - centre) * scale + half of the view. */
export interface View {
  x: number;
  y: number;
  /** Pixels for a unit of the map. */
  scale: number;
}
export interface Size {
  width: number;
  height: number;
}
export interface Points {
  x: readonly number[];
  y: readonly number[];
}

/** Beyond these nothing could be told apart, and numbers would lose their digits. */
const SCALES = { least: 1e-305, most: 1e290 };
const scaled = (scale: number) => Math.max(SCALES.least, Math.min(SCALES.most, scale));

/** The whole map, with some air around it. Points that have no place are not looked at. */
export function fit({ x, y }: Points, { width, height }: Size, air = 40): View {
  const [[left, right], [top, bottom]] = [reachOf([x]) ?? [0, 0], reachOf([y]) ?? [0, 0]];
  // Halves: a whole width may be more than a number holds.
  const scale = Math.min(
    Math.max(1, width - 2 * air) / 2 / (right / 2 - left / 2 || 0.5),
    Math.max(1, height - 2 * air) / 2 / (bottom / 2 - top / 2 || 0.5),
  );
  return { x: left / 2 + right / 2, y: top / 2 + bottom / 2, scale: scaled(scale) };
}

export const toScreen = (view: View, size: Size, x: number, y: number): [number, number] => [
  (x - view.x) * view.scale + size.width / 2,
  (y - view.y) * view.scale + size.height / 2,
];
export const toMap = (view: View, size: Size, x: number, y: number): [number, number] => [
  (x - size.width / 2) / view.scale + view.x,
  (y - size.height / 2) / view.scale + view.y,
];

/** Nearer or farther, with the place under the pointer where it is. */
export function zoom(view: View, size: Size, factor: number, [px, py]: readonly [number, number]): View {
  const [x, y] = toMap(view, size, px, py);
  const scale = scaled(view.scale * factor);
  return { scale, x: x - (px - size.width / 2) / scale, y: y - (py - size.height / 2) / scale };
}

/** Points within a closed line on the map, by even and odd crossings. @param line x and y of each corner */
export function within({ x, y }: Points, line: readonly (readonly [number, number])[]): number[] {
  const found: number[] = [];
  x.forEach((px, i) => {
    const py = y[i]!;
    let isInside = false;
    for (let a = 0, b = line.length - 1; a < line.length; b = a++) {
      const [[ax, ay], [bx, by]] = [line[a]!, line[b]!];
      if (ay > py !== by > py && px < ((bx - ax) * (py - ay)) / (by - ay) + ax) isInside = !isInside;
    }
    if (isInside) found.push(i);
  });
  return found;
}

/** The point nearest to a place of the screen, no farther than `reach` pixels. */
export function nearest(
  { x, y }: Points,
  view: View,
  size: Size,
  px: number,
  py: number,
  reach: number,
): number | null {
  const [mx, my] = toMap(view, size, px, py);
  let best: number | null = null;
  let least = (reach / view.scale) ** 2;
  for (let i = 0; i < x.length; i++) {
    const far = (x[i]! - mx) ** 2 + (y[i]! - my) ** 2;
    if (far <= least) [best, least] = [i, far];
  }
  return best;
}

/** The points nearest to one on the map, the nearest first. */
export function around({ x, y }: Points, point: number, k: number): number[] {
  const far = (i: number) => (x[i]! - x[point]!) ** 2 + (y[i]! - y[point]!) ** 2;
  return [...x.keys()]
    .filter((i) => i !== point)
    .sort((a, b) => far(a) - far(b))
    .slice(0, k);
}

/**
 * Which points in sight show their picture, and where its corner is: one for each cell of a grid that is fixed to the
 * map, so that panning changes nothing and none covers another. Cells halve as the scale doubles.
 * @param side of a picture, pixels
 */
export function pictures(
  { x, y }: Points,
  view: View,
  size: Size,
  side: number,
): { point: number; left: number; top: number }[] {
  const cell = (side + 4) / 2 ** Math.floor(Math.log2(view.scale));
  const taken = new Map<string, number>();
  const [[left, top], [right, bottom]] = [toMap(view, size, 0, 0), toMap(view, size, size.width, size.height)];
  for (let i = 0; i < x.length; i++) {
    const [px, py] = [x[i]!, y[i]!];
    if (px < left - cell || px > right + cell || py < top - cell || py > bottom + cell) continue;
    const key = `${Math.floor(px / cell)} ${Math.floor(py / cell)}`;
    if (!taken.has(key)) taken.set(key, i);
  }
  return [...taken].map(([key, point]) => {
    const [cx, cy] = key.split(' ').map(Number) as [number, number];
    const [px, py] = toScreen(view, size, x[point]!, y[point]!);
    const [from, to] = [
      toScreen(view, size, cx * cell, cy * cell),
      toScreen(view, size, (cx + 1) * cell, (cy + 1) * cell),
    ];
    const clamp = (middle: number, low: number, high: number) =>
      Math.max(low, Math.min(high - side, middle - side / 2));
    return { point, left: clamp(px, from[0], to[0]), top: clamp(py, from[1], to[1]) };
  });
}

/** Images as rows of a CSV file. */
export function csvOf(rows: { path: string; label: string; x: number; y: number }[]): string {
  return csv(
    ['path', 'class', 'x', 'y'],
    rows.map(({ path, label, x, y }) => [path, label, x, y]),
  );
}
