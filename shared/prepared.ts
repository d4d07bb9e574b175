import { type RunConfig, runConfigSchema } from './config.ts';

/** Sizes are multiples of this, pixels. */
const STEP = 32;

/**
 * The shorter side at which images lose little for a configuration: where the mean random crop of a photograph of 4:3 has
 * about as many pixels as the network takes, so that about half of the crops are not enlarged. A crop of share s of a
 * w by h image has a side of sqrt(s w h), and h = 3/4 w.
 */
export function preparedSize({ model, augment }: Pick<RunConfig, 'model' | 'augment'>): number {
  const [least, most] = augment.crop_scale;
  const side = model.image_size / Math.sqrt(((least + most) / 2) * (4 / 3));
  return Math.max(Math.ceil(model.image_size / STEP), Math.round(side / STEP)) * STEP;
}

/** Of the published recipes: 256 for 224 pixels and crops of 0.08 to 1 of the image. */
export const DEFAULT_PREPARED_SIZE = preparedSize(runConfigSchema.parse({}));
