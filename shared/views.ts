import type { ViewSpec } from './method.ts';

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
