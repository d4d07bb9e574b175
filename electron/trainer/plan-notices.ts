import { drawMask, methodOf } from '../../methods/index.ts';
import type { RunConfig } from '../../shared/config.ts';
import { stream } from '../data/random.ts';
import { wantedWarmup, warmupSteps } from '../engine/schedule.ts';

/** Patches that a mask of these settings hides; 0 for a method that hides none. */
export const maskedPatches = (config: RunConfig): number =>
  drawMask(config, stream(0, 0, 0, 'plan'))?.reduce((sum, m) => sum + m, 0) ?? 0;

/**
 * What a run does otherwise than its settings say, each with the setting that would change it.
 * @param run its steps in all and of an epoch, and how many images it trains on
 * @param isPretraining whether it trains as its method does
 */
export function planNotices(
  config: RunConfig,
  run: { images: number; steps: number; perEpoch: number },
  isPretraining = true,
): string[] {
  const notices: string[] = [];
  const { batch_size, accumulation, crops_per_image } = config.train;
  const wanted = wantedWarmup(config, run.perEpoch);
  if (wanted > warmupSteps(config, run.steps, run.perEpoch)) {
    notices.push(
      `The warm-up of ${wanted} steps is longer than the run of ${run.steps}: the rate rises to the last step and ` +
        'never falls. Train longer, or lower optimizer.warmup_epochs (or warmup_steps).',
    );
  }
  const ofStep = batch_size * accumulation;
  if (ofStep > run.images * crops_per_image) {
    const times = (ofStep / (run.images * crops_per_image)).toFixed(1);
    notices.push(
      `A step takes ${ofStep} images, and there are ${run.images * crops_per_image}: each is in it ${times} times. A ` +
        `batch_size of ${run.images * crops_per_image} at most, without accumulation, makes steps of different images.`,
    );
  }
  if (isPretraining) notices.push(...methodOf(config).notices(config, maskedPatches(config), run.images));
  return notices;
}
