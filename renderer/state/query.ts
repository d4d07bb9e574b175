/** What an address says, as far as it makes sense: people type addresses, cut them, and keep those of earlier programs. */

/** A number within limits; `otherwise` where the text is none. */
export function numberIn(text: string | undefined, low: number, high: number, otherwise: number): number {
  const value = text === undefined || text.trim() === '' ? Number.NaN : Number(text);
  return Number.isFinite(value) ? Math.max(low, Math.min(high, value)) : otherwise;
}

/** A whole number from `low` on; null where the text is none. */
export function wholeFrom(text: string | undefined, low: number): number | null {
  const value = text === undefined || text.trim() === '' ? Number.NaN : Number(text);
  return Number.isSafeInteger(value) && value >= low ? value : null;
}

/** One of some words; the first where the text is none of them. */
export function oneOf<const T extends readonly [string, ...string[]]>(text: string | undefined, words: T): T[number] {
  return words.find((word) => word === text) ?? words[0];
}

/** Ids of a list, each once, in its order: what is no id is left out. */
export function idsOf(text: string | undefined): number[] {
  return [...new Set((text ?? '').split(',').flatMap((part) => wholeFrom(part, 1) ?? []))];
}

/** A patch of a grid, row by row: the last one where the text is of a larger grid, null where it is none. */
export function patchIn(text: string | undefined, grid: number): number | null {
  const patch = wholeFrom(text, 0);
  return patch === null ? null : Math.min(patch, grid * grid - 1);
}
