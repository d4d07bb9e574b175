/** Patches of an image are numbered row by row, from 0 at the top left. */

/** Patches of the rectangle between two corners, in either order. */
export function rectangle(corner: number, opposite: number, grid: number): number[] {
  const [rows, columns] = [
    [corner, opposite].map((patch) => Math.floor(patch / grid)),
    [corner, opposite].map((patch) => patch % grid),
  ];
  const found = [];
  for (let y = Math.min(...rows); y <= Math.max(...rows); y++)
    for (let x = Math.min(...columns); x <= Math.max(...columns); x++) found.push(y * grid + x);
  return found;
}

/** As people count, from 1. */
export const rowAndColumn = (patch: number, grid: number): [row: number, column: number] => [
  Math.floor(patch / grid) + 1,
  (patch % grid) + 1,
];

/** In words: `row 2, column 3`. */
export function placeOf(patch: number, grid: number): string {
  const [row, column] = rowAndColumn(patch, grid);
  return `row ${row}, column ${column}`;
}

/** The same part of the picture on another grid: patches whose middle lies in it, and those that hold a middle of its own. */
export function regrid(patches: readonly number[], from: number, to: number): number[] {
  if (from === to) return [...patches];
  /** The patch of one grid at the middle of a patch of another. */
  const under = (patch: number, own: number, other: number) =>
    Math.floor(((Math.floor(patch / own) + 0.5) / own) * other) * other +
    Math.floor((((patch % own) + 0.5) / own) * other);
  const region = new Set(patches);
  const holding = new Set(patches.map((patch) => under(patch, from, to)));
  return Array.from({ length: to * to }, (_, patch) => patch).filter(
    (patch) => holding.has(patch) || region.has(under(patch, to, from)),
  );
}
