import type { AugmentConfig } from './config.ts';
import type { ViewSpec } from './method.ts';

/** What the masks of an image are drawn under: one for each view that is masked, in their order. */
export const maskPurposes = (views: readonly ViewSpec[]): string[] =>
  views.filter(({ isMasked }) => isMasked).map((_, i) => (i === 0 ? 'mask' : `mask ${i + 1}`));

/** How both crops are drawn where they are drawn alike (MoCo v2, arXiv 2003.04297, section 3; DenseCL, arXiv 2011.09157). */
export const ALIKE = {
  crop_scale: [0.2, 1],
  interpolation: 'bilinear',
  jitter: 0.8,
  brightness: 0.4,
  contrast: 0.4,
  saturation: 0.4,
  hue: 0.1,
  gray: 0.2,
  blur: 0.5,
  solarize: 0,
} satisfies Partial<AugmentConfig>;

/**
 * Two crops of an image, each of a place of its own, with strong colours: `first` and `second`.
 * @param second what is drawn otherwise for the second
 */
export const twoCrops = (side: number, second: ViewSpec['augment'] = {}): ViewSpec[] => [
  { name: 'first', title: 'first crop', side, geometry: 'first place', colours: 'strong', isMasked: false },
  {
    name: 'second',
    title: 'second crop',
    side,
    geometry: 'second place',
    colours: 'strong',
    isMasked: false,
    augment: second,
  },
];
