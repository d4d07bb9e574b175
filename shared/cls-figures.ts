import { collapsed, figureOf, HIGH_COSINE } from './figures.ts';
import type { Chart, Figure, LastSteps, Sign } from './method.ts';

/**
 * What CLS tokens say of a network whose head ends in a BatchNorm, which spreads whatever it is given: they are looked at
 * before it. A step shows them as `cls`.
 */

/** Two CLS tokens this much alike, over a batch, are those of a network that tells no images apart. */
const HIGH = HIGH_COSINE.unspread;

/** @param two what a batch has of which two are compared: "images", "crops" */
export const clsFigures = (two: string): readonly Figure[] => [
  {
    key: 'rank_cls',
    title: 'Effective rank of CLS',
    scale: 'plain',
    unit: 'dimensions',
    isMain: false,
    about: 'How many directions the CLS tokens of a batch use, before the head',
  },
  {
    key: 'cosine_cls',
    title: 'Mean cosine of CLS',
    scale: 'plain',
    unit: '',
    isMain: false,
    about: `How much the CLS tokens of two ${two} are alike, before the head, which spreads whatever it is given; 1 where all are one`,
  },
];

export const clsCharts: readonly Chart[] = [
  {
    title: 'Effective rank of CLS',
    unit: 'dimensions',
    isSparse: true,
    lines: [{ key: 'rank_cls', label: 'before the head', colour: 0 }],
  },
  {
    title: 'Mean cosine between CLS tokens',
    unit: '',
    isSparse: true,
    lines: [{ key: 'cosine_cls', label: 'before the head', colour: 0 }],
    references: () => [{ label: `${HIGH}, collapsed`, value: HIGH }],
  },
];

/** That all images have become one, after so many steps of patience; null where they have not. */
export function clsCollapse({ measured }: LastSteps, patience: number, advice: string): Sign | null {
  const cosine = measured && measured.step > patience ? figureOf(measured, 'cosine_cls') : null;
  if (cosine === null || cosine <= HIGH) return null;
  const words = `their mean cosine is ${cosine.toFixed(3)} (above ${HIGH} is a collapse)`;
  return collapsed(`The CLS tokens of different images are one: ${words}.`, advice);
}
