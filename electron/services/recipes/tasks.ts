import type { Input } from '../../../shared/contract/index.ts';
import type { TaskRef } from '../../../shared/contract/started.ts';
import type { Starting } from '../ground/tasks.ts';
import { estimateCost } from './estimate.ts';
import { lend } from './lenders.ts';
import { configOf } from './presets.ts';

/** Measures what a run costs. @throws AppError bad-input for a configuration that cannot be, not-found */
export function startEstimate(
  { store, tasks }: Starting,
  { dataset, ...recipe }: Input<'config.estimate'>,
): TaskRef<'estimate'> {
  const of = store.datasets.get(dataset);
  const config = lend(store, of, configOf(store, recipe)).config;
  const images = of.image_count;
  return tasks.start('estimate', 'Measuring what a run costs', ({ signal }) => estimateCost(config, images, signal));
}
