import { chanceOf, describe } from '../../../methods/index.ts';
import { chartSvg } from '../../../shared/chart-svg.ts';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import { figureOf } from '../../../shared/figures.ts';
import type { Store } from '../../store/store.ts';

const POINTS = 400;

/** How a run learned up to a checkpoint, as SVG: the charts of what every step says. Null where no step is stored. */
export function curveSvg(store: Store, checkpoint: Checkpoint): string | null {
  const run = store.runs.get(checkpoint.run_id);
  const metrics = store.metrics.sampled(run.id, POINTS, { to: checkpoint.step });
  if (metrics.length === 0) return null;
  const x = metrics.map(({ step }) => step);
  const chance = chanceOf(run);
  const drawn = describe(run)
    .charts.filter(({ isSparse }) => !isSparse)
    .flatMap(({ title, unit, lines, isShare, references }) => {
      const times = (value: number | null) => (value === null ? null : isShare ? 100 * value : value);
      const curves = lines
        .map(({ key, label }) => ({ label, x, y: metrics.map((metric) => times(figureOf(metric, key))) }))
        .filter(({ y }) => y.some((value) => value !== null));
      if (curves.length === 0) return [];
      const levels = (references?.(chance, run.config) ?? []).map(({ label, value }) => ({
        label,
        x: [x[0]!, x.at(-1)!],
        y: [times(value), times(value)],
      }));
      return [chartSvg(title, 'step', unit, [...curves, ...levels])];
    });
  const width = Math.max(...drawn.map((one) => one.width));
  let height = 0;
  const placed = drawn.map((one) => {
    const svg = `<g transform="translate(0 ${height})">${one.svg}</g>`;
    height += one.height;
    return svg;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${placed.join('')}</svg>\n`;
}
