import { gridOf, patchesOf, type RunConfig } from '../../shared/config.ts';
import { makeMask } from '../../shared/masking.ts';
import { percent } from '../../shared/words.ts';
import { stream } from '../data/random.ts';
import { wantedWarmup, warmupSteps } from '../engine/schedule.ts';

/** A share of masked patches that differs more from what was asked for is said. */
const NEAR = 0.05;

/** Patches that a mask of these settings hides. */
export function maskedPatches({ model, mask }: Pick<RunConfig, 'model' | 'mask'>): number {
  const shape = { grid: gridOf(model), patchSize: model.patch_size, imageSize: model.image_size };
  return makeMask(mask, shape, stream(0, 0, 0, 'plan')).reduce((sum, m) => sum + m, 0);
}

/**
 * What follows from settings otherwise than they say, each with the setting that would change it.
 * @param run its steps in all and of an epoch, and how many images it trains on
 * @param isPretraining whether patches are masked
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
  if (!isPretraining || config.mask.kind === 'block') return notices; // blocks differ from image to image
  const [K, masked] = [patchesOf(config.model), maskedPatches(config)];
  if (Math.abs(masked / K - config.mask.ratio) <= NEAR) return notices;
  const units = (config.model.image_size / config.mask.unit) ** 2;
  const why =
    config.mask.kind === 'random_mps32'
      ? `an image has ${units} ${units === 1 ? 'unit' : 'units'} of mask.unit=${config.mask.unit} pixels. A smaller mask.unit comes nearer`
      : `an image has ${K} patches. A smaller model.patch_size comes nearer`;
  notices.push(
    `${masked} of ${K} patches are masked (${percent(masked / K, 0)}), and mask.ratio is ${config.mask.ratio}: ${why}.`,
  );
  return notices;
}
