import type { Column } from './table.ts';

const KEY = 'run columns';
/** What was chosen otherwise than usual, by key: columns that come later are as usual. */
let chosen = $state.raw<Record<string, boolean>>(read());

function read(): Record<string, boolean> {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    return Object.fromEntries(Object.entries(kept as object).filter(([, isShown]) => typeof isShown === 'boolean'));
  } catch {
    return {};
  }
}

/** Columns of the table of runs that this browser shows. */
export const isShown = ({ key, isUsual }: Column): boolean => key === 'name' || (chosen[key] ?? isUsual);

export const chosenColumns = (): Record<string, boolean> => chosen;
export function chooseColumns(next: Record<string, boolean>): void {
  chosen = next;
  localStorage.setItem(KEY, JSON.stringify(next));
}
export function showColumn({ key, isUsual }: Column, isNow: boolean): void {
  const { [key]: _, ...others } = chosen;
  chooseColumns(isNow === isUsual ? others : { ...others, [key]: isNow });
}
export const usualColumns = (): void => chooseColumns({});
