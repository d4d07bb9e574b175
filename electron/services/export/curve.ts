import { chartSvg } from '../../../shared/chart-svg.ts';
import { patchesOf } from '../../../shared/config.ts';
import type { Checkpoint } from '../../../shared/domain.ts';
import type { Store } from '../../store/store.ts';

const POINTS = 400;

/** Keys that a query is compared with in training: guessing finds the right one once in so many times. */
export function keysOf({ config }: Pick<Checkpoint, 'config'>): number {
  return patchesOf(config.model) * (config.contrast.dictionary === 'batch' ? config.train.batch_size : 1);
}

/** How a run learned up to a checkpoint, as SVG: loss, and look-ups beside their control. Null where no step is stored. */
export function curveSvg(store: Store, checkpoint: Checkpoint): string | null {
  const metrics = store.metrics.sampled(checkpoint.run_id, POINTS, { to: checkpoint.step });
  if (metrics.length === 0) return null;
  const x = metrics.map(({ step }) => step);
  const keys = keysOf(checkpoint);
  const level = (label: string, y: number) => ({ label, x: [x[0]!, x.at(-1)!], y: [y, y] });
  const loss = chartSvg('Loss', 'step', 'nats', [
    { label: 'loss', x, y: metrics.map((m) => m.loss) },
    level(`ln ${keys}: guessing`, Math.log(keys)),
  ]);
  const lookups = chartSvg('Look-ups of masked patches', 'step', 'share that is right', [
    { label: 'top-1', x, y: metrics.map((m) => m.top1) },
    { label: "top-1 among another image's keys (position alone)", x, y: metrics.map((m) => m.top1_control) },
    level(`1/${keys}: guessing`, 1 / keys),
  ]);
  const height = loss.height + lookups.height;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${loss.width}" height="${height}" viewBox="0 0 ${loss.width} ${height}">${loss.svg}<g transform="translate(0 ${loss.height})">${lookups.svg}</g></svg>\n`;
}
