import { axisOf, hasPlace, reachOf } from '../../../shared/axis.ts';
import { naturalOrder } from '../../../shared/natural-order.ts';
import { type Cell, type Column, cellWords, type Row } from './table.ts';

/** Where the values of a column stand on an axis, 0 to 1: numbers along it, words in their order. */
export interface Scale {
  title: string;
  isLog: boolean;
  /** Null where there is no value. */
  place: (value: Cell | undefined) => number | null;
  ticks: { at: number; label: string }[];
}

/** Numbers above 0 that differ by more than this factor, as rates do, are read by their powers. */
const WIDE = 30;
const MARGIN = 0.06;

/** @param wanted how many labels there is room for */
export function scaleOf({ title, kind }: Column, values: readonly (Cell | undefined)[], wanted: number): Scale {
  const known = values.filter((value) => value !== null && value !== undefined);
  const numbers = known.filter((value) => typeof value === 'number' && hasPlace(value, false)) as number[];
  if (numbers.length === known.length && numbers.length > 0) {
    const factor = kind === 'percent' ? 100 : 1;
    const [low, high] = reachOf([numbers])!;
    const isLog = kind !== 'percent' && kind !== 'date' && low > 0 && high / low > WIDE;
    const axis = axisOf(isLog ? 'log' : 'linear', [factor * low, factor * high], {
      ...{ wanted, margin: MARGIN },
      suffix: kind === 'percent' ? ' %' : '',
    });
    const isTime = kind === 'date' || kind === 'duration';
    // Times are rounded: where two would be called the same the first one stands.
    const ticks = axis.ticks
      .map(({ at, value, label }) => ({ at, label: isTime ? cellWords({ kind }, value) : label }))
      .filter(({ label }, i, all) => all.findIndex((one) => one.label === label) === i);
    return { title, isLog, ticks, place: (value) => (typeof value === 'number' ? axis.place(factor * value) : null) };
  }
  const words = [...new Set(known.map(String))].sort(naturalOrder);
  const at = new Map(words.map((word, i) => [word, (i + 0.5) / words.length]));
  const every = Math.ceil(words.length / Math.max(1, wanted));
  return {
    ...{ title, isLog: false },
    ticks: words.map((label) => ({ at: at.get(label)!, label })).filter((_, i) => i % every === 0),
    place: (value) => (value === null || value === undefined ? null : (at.get(String(value)) ?? null)),
  };
}

/** Columns that a result can be held against, and those that are results. */
export const isSetting = ({ group, key }: Column): boolean =>
  group === 'Settings that differ' || ['dataset', 'method', 'preset', 'step', 'duration', 'images_per_s'].includes(key);
export const isResult = ({ group, kind }: Column): boolean =>
  (group === 'Figures' || group === 'Evaluations') && kind !== 'text';

/** Columns that say anything of these rows: not all the same. */
export const telling = (columns: readonly Column[], rows: readonly Row[]): Column[] =>
  columns.filter(({ key }) => new Set(rows.map(({ cells }) => cells[key] ?? null)).size > 1);
