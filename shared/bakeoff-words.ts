import type { Budget, Cell, Column } from './bakeoff.ts';
import { bytes, count, percent, plural } from './words.ts';

/** Figures of a bake-off as people read them: in the window, on the command line and in its report. */

/** A value as people read it. */
export function shownIn({ scale }: Pick<Column, 'scale'>, value: number): string {
  if (scale === 'bytes') return bytes(value);
  return scale === 'share' ? percent(value) : count(Number(value.toPrecision(3)));
}

/** Mean and standard deviation: `58.7 ± 1.2 %`. What is of a single seed is marked. */
export function meanOf(column: Pick<Column, 'scale'>, { spread, values }: Cell): string {
  if (spread.sd === null) return `${shownIn(column, spread.mean)}${values[0]!.seed === null ? '' : ' (single seed)'}`;
  return `${shownIn(column, spread.mean)} ± ${shownIn(column, spread.sd)}`;
}

/** Its interval, where it has one: `55.6 % to 61.8 %`; no further than such a value can be. */
export function intervalOf(column: Pick<Column, 'scale'>, { spread }: Cell): string | null {
  const most = column.scale === 'share' ? 1 : Number.POSITIVE_INFINITY;
  const least = column.scale === 'number' ? Number.NEGATIVE_INFINITY : 0;
  const within = spread.interval?.map((value) => shownIn(column, Math.min(most, Math.max(least, value))));
  return within?.join(' to ') ?? null;
}

/** A budget in words. */
export function budgetWords(budget: Budget): string {
  if (budget.kind === 'images') return `${plural(budget.images, 'image')} seen`;
  if (budget.kind === 'minutes') return `${plural(budget.minutes, 'minute')} of steps`;
  return `${budget.flops.toExponential(2)} floating-point operations in products of matrices`;
}
