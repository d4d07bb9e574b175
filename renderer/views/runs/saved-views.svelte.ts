import { chooseColumns, chosenColumns } from './columns.svelte.ts';

/** What a table shows, by a name: the query of its address but for what is chosen, and its columns. */
export interface SavedView {
  name: string;
  query: Record<string, string>;
  columns: Record<string, boolean>;
}

const KEY = 'run views';
/** Of the address: what says how runs are shown, and not which are chosen. */
const KEPT = [
  'filter',
  'sort',
  'descending',
  'group',
  'view',
  'metric',
  'axis',
  'smooth',
  'checkpoints',
  'chart',
  'x',
  'y',
];
const isView = (one: Partial<SavedView> | null): one is SavedView =>
  typeof one?.name === 'string' && typeof one.query === 'object' && typeof one.columns === 'object';

let views = $state.raw<SavedView[]>(read());
function read(): SavedView[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(kept) ? kept.filter(isView) : [];
  } catch {
    return [];
  }
}
function write(next: SavedView[]): void {
  views = next.sort((a, b) => a.name.localeCompare(b.name));
  localStorage.setItem(KEY, JSON.stringify(views));
}

export const savedViews = (): readonly SavedView[] => views;

/** Keeps what is shown; one of the same name gives way. */
export function saveView(name: string, query: Readonly<Record<string, string>>): void {
  const kept = Object.fromEntries(Object.entries(query).filter(([key]) => KEPT.includes(key)));
  write([...views.filter((one) => one.name !== name), { name, query: kept, columns: chosenColumns() }]);
}
export const forgetView = (name: string): void => write(views.filter((one) => one.name !== name));

/** Shows what was kept. @returns the changes of the address */
export function takeView({ query, columns }: SavedView): Record<string, string | null> {
  chooseColumns(columns);
  return { ...Object.fromEntries(KEPT.map((key) => [key, null])), ...query };
}
