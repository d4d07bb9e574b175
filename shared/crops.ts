import { z } from 'zod';
import { type AugmentConfig, augmentSchema, type ModelConfig, type Refuse } from './config.ts';
import type { ViewSpec } from './method.ts';
import { twoCrops } from './views.ts';

/**
 * Multi-crop (SwAV, arXiv 2006.09882, section 3.2): of each image two large crops of the model's own side, and some small
 * ones, which cost a step little.
 */

/** Large crops of an image. */
export const LARGE = 2;

/** @param defaults small crops, their side in pixels, and their area @param names in the published code */
export const cropsSchema = (
  defaults: { small: number; small_size: number; small_scale: [number, number] },
  names: { small: string; small_size: string; small_scale: string },
) =>
  z.strictObject({
    small: z
      .number()
      .int()
      .min(0)
      .max(32)
      .default(defaults.small)
      .describe(`small crops of an image, beside its two large ones (${names.small})`),
    small_size: z
      .number()
      .int()
      .positive()
      .max(1024)
      .default(defaults.small_size)
      .describe(`side of a small crop, pixels; a multiple of patch_size (${names.small_size})`),
    small_scale: augmentSchema.shape.crop_scale
      .removeDefault()
      .default(defaults.small_scale)
      .describe(`area of a small crop, share of the image; of large ones: augment.crop_scale (${names.small_scale})`),
  });
export type CropsConfig = z.output<ReturnType<typeof cropsSchema>>;

/** That small crops have a whole number of patches. */
export function checkCrops({ small, small_size }: CropsConfig, { patch_size }: ModelConfig, refuse: Refuse): void {
  if (small === 0 || small_size % patch_size === 0) return;
  const nearest = Math.max(1, Math.round(small_size / patch_size)) * patch_size;
  refuse(['crops', 'small_size'], `must be a multiple of model.patch_size (${patch_size}); nearest: ${nearest}`);
}

const large = (i: number) => twoCrops(0)[i]?.name ?? `large ${i + 1}`;
const small = (i: number) => `small ${i + 1}`;

/**
 * The crops of an image, large ones first: each with a place and colours of its own.
 * @param own what is drawn otherwise for a crop than the run's `augment` has it
 */
export function cropViews(
  model: Pick<ModelConfig, 'image_size'>,
  crops: CropsConfig,
  own: (kind: 'large' | 'small', i: number) => Partial<AugmentConfig> = () => ({}),
): ViewSpec[] {
  return [
    ...twoCrops(model.image_size).map((view, i) => ({ ...view, augment: own('large', i) })),
    ...Array.from({ length: crops.small }, (_, i): ViewSpec => {
      const name = small(i);
      return {
        name,
        title: `small crop ${i + 1}`,
        side: crops.small_size,
        geometry: `place of ${name}`,
        colours: 'strong',
        isMasked: false,
        augment: { crop_scale: crops.small_scale, ...own('small', i) },
      };
    }),
  ];
}

/** The crops of a batch by their kinds, each in order. @param views by the names of `cropViews` */
export function cropsIn<T>(views: Readonly<Record<string, T>>): { large: T[]; small: T[] } {
  const all = (name: (i: number) => string) => {
    const found: T[] = [];
    for (let i = 0; name(i) in views; i++) found.push(views[name(i)]!);
    return found;
  };
  return { large: all(large), small: all(small) };
}

/** Undoes `cropsIn`. */
export const namedCrops = <T>(crops: { large: readonly T[]; small: readonly T[] }): Record<string, T> =>
  Object.fromEntries([
    ...crops.large.map((view, i) => [large(i), view] as const),
    ...crops.small.map((view, i) => [small(i), view] as const),
  ]);
