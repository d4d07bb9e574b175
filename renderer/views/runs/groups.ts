import type { RunRow } from '../../../shared/contract/runs.ts';
import { type Spread, spreadOf } from '../../../shared/statistics.ts';
import { NONE, plural } from '../../../shared/words.ts';
import { type Cell, type Column, cellWords, type Row, settingsOf, sorted } from './table.ts';

/** What runs of a table can be put together by, beside a setting. */
export const GROUPINGS = [
  ['seeds', 'Seeds'],
  ['dataset', 'Dataset'],
  ['method', 'Method'],
  ['preset', 'Preset'],
] as const;
const SEED = 'train.seed';

/** A line for several runs: means of their figures, and what texts they have in common. */
export interface Group {
  key: string;
  title: string;
  rows: Row[];
  cells: Record<string, Cell>;
  spreads: Record<string, Spread>;
}
export type Line = { row: Row; of: Group | null } | { group: Group };

/** Runs of one recipe on the same images, whatever their seed, have this in common. */
export const recipeOf = (run: RunRow): string =>
  JSON.stringify([[run.kind, run.dataset_id, run.finetune], [...settingsOf(run)].filter(([key]) => key !== SEED)]);

/** What names have in common at their beginning, without the word before a number: "a, seed 1" and "a, seed 2" are "a". */
export function commonName(names: readonly string[]): string {
  const [first, ...others] = names.map((name) => Array.from(name));
  if (!first || others.length === 0) return names[0] ?? '';
  let n = first.length;
  for (const other of others) while (first.slice(0, n).join('') !== other.slice(0, n).join('')) n--;
  const common = first.slice(0, n).join('');
  return common.replace(/[\s,;:(_-]*(\bseed)?[\s,;:(_#-]*\d*$/i, '') || names[0]!;
}

function groupOf(key: string, title: string, rows: Row[], columns: readonly Column[]): Group {
  const spreads: Record<string, Spread> = {};
  const cells: Record<string, Cell> = {};
  for (const { key: column, kind } of columns) {
    const known = rows.map(({ cells: own }) => own[column] ?? null).filter((value) => value !== null);
    const numbers = known.filter((value) => typeof value === 'number');
    const [first] = known;
    if (kind === 'date') cells[column] = numbers.length > 0 ? Math.max(...numbers) : null;
    else if (known.length > 0 && numbers.length === known.length && kind !== 'text') {
      spreads[column] = spreadOf(numbers)!;
      cells[column] = spreads[column].mean;
    } else if (known.length > 0) {
      const many = new Set(known).size;
      cells[column] = many === 1 ? first! : `${many} different`;
    }
  }
  return { key, title, rows, cells: { ...cells, name: title }, spreads };
}

/**
 * Lines of a table whose runs are put together. A group that is open is followed by its runs. Both are in the order of a column.
 * @param by one of `GROUPINGS`, or a column's key
 */
export function grouped(
  rows: readonly Row[],
  columns: readonly Column[],
  by: string,
  sort: readonly [key: string, descending: boolean],
  isOpen: (key: string) => boolean,
  runOf: (id: number) => RunRow | undefined,
): Line[] {
  const title = columns.find(({ key }) => key === by)?.title;
  const key = (row: Row): string => {
    const run = runOf(row.id);
    return by === 'seeds' ? (run ? recipeOf(run) : '') : String(row.cells[by] ?? NONE);
  };
  const groups = [...Map.groupBy(rows, key)].map(([value, own]) => {
    const isOfRun = GROUPINGS.some(([one]) => one === by);
    const words =
      by === 'seeds' ? commonName(own.map(({ name }) => name)) : isOfRun ? value : `${title ?? by} ${value}`;
    return groupOf(value, words, own, columns);
  });
  if (by === 'seeds') tellRecipes(groups, columns);
  return sorted(
    groups.map((group) => ({ ...group, id: group.rows[0]!.id })),
    ...sort,
  ).flatMap((group): Line[] => [
    { group },
    ...(isOpen(group.key) ? sorted(group.rows, ...sort).map((row) => ({ row, of: group })) : []),
  ]);
}

/** Recipes of one name are told apart by the first settings in which they differ. */
function tellRecipes(groups: readonly Group[], columns: readonly Column[]): void {
  for (const same of Map.groupBy(groups, ({ title }) => title).values()) {
    const differ = columns.filter(
      ({ key, title, group }) =>
        group === 'Settings that differ' && title !== SEED && new Set(same.map(({ cells }) => cells[key])).size > 1,
    );
    for (const one of same) {
      const words = differ.slice(0, 2).map((column) => `${column.title} ${cellWords(column, one.cells[column.key])}`);
      one.title = [one.title, ...words].join(', ');
      one.cells.name = one.title;
    }
  }
}

/** A mean with its interval, as it stands in a cell, and in full. */
export function spreadWords(column: Column, { n, mean, sd, interval }: Spread): { short: string; full: string } {
  const words = (value: number) => cellWords(column, column.kind === 'count' ? Math.round(value) : value);
  if (sd === null || interval === null) return { short: words(mean), full: `${words(mean)}, of a single run` };
  const most = column.kind === 'percent' ? 1 : Number.POSITIVE_INFINITY;
  const least = column.kind === 'percent' ? 0 : Number.NEGATIVE_INFINITY;
  const [low, high] = interval.map((value) => words(Math.min(most, Math.max(least, value))));
  if (low === high) return { short: words(mean), full: `${words(mean)} in all of ${plural(n, 'run')}` };
  return {
    short: `${words(mean)} (${low!.replace(/ %$/, '')} to ${high!.replace(/ %$/, '')})`,
    full: `mean of ${plural(n, 'run')} ${words(mean)}, standard deviation ${words(sd)}; with 95 % confidence it lies between ${low} and ${high} (Student's t)`,
  };
}
