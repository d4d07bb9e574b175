import { type LineStyle, placeOf, placesOf, STYLES, styleAt } from '../../shared/palette.ts';

const KEY = 'run-styles';
/** Places of runs that gave way to another once, by id: they stay there, so that a run looks the same from then on. */
let moved = $state.raw<Record<number, number>>(read());

function read(): Record<number, number> {
  try {
    const rows: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    return Object.fromEntries(
      Object.entries(rows as object).filter(([, place]) => Number.isInteger(place) && place >= 0 && place < STYLES),
    );
  } catch {
    return {};
  }
}

/** How a run is drawn: the same in tables, legends, charts and files. */
export const styleOf = (id: number): LineStyle => styleAt(moved[id] ?? placeOf(id));

/** Of runs that are drawn together, a later one that looks like an earlier one takes a free style, and keeps it. */
export function tellApart(ids: readonly number[]): void {
  const gave = [...placesOf(ids, moved)].filter(([id, place]) => place !== (moved[id] ?? placeOf(id)));
  if (gave.length === 0 || ids.length > STYLES) return;
  moved = { ...moved, ...Object.fromEntries(gave) };
  localStorage.setItem(KEY, JSON.stringify(moved));
}
