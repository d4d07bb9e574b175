import { describe } from '../../../methods/index.ts';
import type { RunRow } from '../../../shared/contract/runs.ts';
import { csv } from '../../../shared/csv.ts';
import { figureOf, flat } from '../../../shared/figures.ts';
import type { Metric } from '../../../shared/run.ts';
import type { Line } from '../../charts/geometry.ts';
import { styleOf } from '../../state/run-styles.svelte.ts';

export type Curves = ReadonlyMap<number, readonly Metric[]>;
export type Over = 'step' | 'time' | 'epoch';

const place = (m: Metric, first: Metric | undefined, over: Over, perEpoch: number) =>
  over === 'time' ? (m.time - (first?.time ?? 0)) / 1000 : over === 'epoch' ? m.step / perEpoch : m.step;

/** Curves of runs by one figure, each in its run's style. @param scale from what is stored to what is drawn */
export const linesOf = (runs: readonly RunRow[], curves: Curves, key: string, scale: number, over: Over): Line[] =>
  runs.map((run) => {
    const metrics = curves.get(run.id) ?? [];
    return {
      label: run.name,
      style: styleOf(run.id),
      x: metrics.map((m) => place(m, metrics[0], over, run.steps_per_epoch)),
      y: metrics.map((m) => {
        const value = figureOf(m, key);
        return value === null ? null : value * scale;
      }),
    };
  });

/** The step of a run that lies nearest to a place on the horizontal axis. */
export function stepAt(run: RunRow, curves: Curves, over: Over, x: number): number {
  const metrics = curves.get(run.id) ?? [];
  const far = (m: Metric) => Math.abs(place(m, metrics[0], over, run.steps_per_epoch) - x);
  return metrics.reduce<Metric | null>((best, m) => (best && far(best) <= far(m) ? best : m), null)?.step ?? 0;
}

/** All that was measured of runs, a line for each step that came. */
export function curvesCsv(runs: readonly RunRow[], curves: Curves): string {
  const measured = runs.flatMap((run) =>
    (curves.get(run.id) ?? []).map((m) => ({ run, m: flat(m, describe(run).figures)! })),
  );
  const keys = [...new Set(measured.flatMap(({ m }) => Object.keys(m)))];
  return csv(
    ['run', 'name', ...keys],
    measured.map(({ run, m }) => [run.id, run.name, ...keys.map((key) => m[key])]),
  );
}
