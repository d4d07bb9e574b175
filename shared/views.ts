import type { ViewSpec } from './method.ts';

/** What the masks of an image are drawn under: one for each view that is masked, in their order. */
export const maskPurposes = (views: readonly ViewSpec[]): string[] =>
  views.filter(({ isMasked }) => isMasked).map((_, i) => (i === 0 ? 'mask' : `mask ${i + 1}`));

/**
 * Two crops of an image, each of a place of its own, with strong colours: `first` and `second`.
 * @param second what is drawn otherwise for the second
 */
export const twoCrops = (side: number, second: ViewSpec['augment'] = {}): ViewSpec[] => [
  { name: 'first', title: 'first crop', side, geometry: 'first place', colours: 'strong', isMasked: false },
  {
    ...{ name: 'second', title: 'second crop', side, geometry: 'second place', colours: 'strong', isMasked: false },
    augment: second,
  },
];
