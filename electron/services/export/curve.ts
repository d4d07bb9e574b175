import { chartSvg } from '../../../shared/chart-svg.ts';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import { guessingOf } from '../../../shared/guessing.ts';
import type { Store } from '../../store/store.ts';

const POINTS = 400;

/** How a run learned up to a checkpoint, as SVG: loss, and look-ups beside their control. Null where no step is stored. */
export function curveSvg(store: Store, checkpoint: Checkpoint): string | null {
  const metrics = store.metrics.sampled(checkpoint.run_id, POINTS, { to: checkpoint.step });
  if (metrics.length === 0) return null;
  const x = metrics.map(({ step }) => step);
  const guessing = guessingOf(checkpoint);
  const level = (label: string, y: number) => ({ label, x: [x[0]!, x.at(-1)!], y: [y, y] });
  const loss = chartSvg('Loss', 'step', 'nats', [
    { label: 'loss', x, y: metrics.map((m) => m.loss) },
    level(`ln ${guessing.among}: guessing`, guessing.loss),
  ]);
  const lookups = chartSvg('Look-ups of masked patches', 'step', 'share that is right', [
    { label: 'top-1', x, y: metrics.map((m) => m.figures.top1 ?? null) },
    {
      label: "top-1 among another image's keys (position alone)",
      x,
      y: metrics.map((m) => m.figures.top1_control ?? null),
    },
    level(`1/${guessing.among}: guessing`, guessing.top1),
  ]);
  const height = loss.height + lookups.height;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${loss.width}" height="${height}" viewBox="0 0 ${loss.width} ` +
    `${height}">${loss.svg}<g transform="translate(0 ${loss.height})">${lookups.svg}</g></svg>\n`
  );
}
