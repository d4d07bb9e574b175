import type { RunConfig } from '../../shared/config.ts';
import { AS_GUESSED, LAST_STEPS, meanOf, notLearning, peakRate, rateCauses } from '../../shared/figures.ts';
import type { Account, Chance, Chart } from '../../shared/method.ts';
import { ours } from './config.ts';

/** Steps that a run gets before a warning that it does not learn: it takes a few to come down to the loss of saying nothing. */
const PATIENCE = 300;
/** Spread, deviations of a normalised pixel, below which all images are drawn alike. It is 0.3 before the first step. */
export const LEAST_SPREAD = 0.02;

const charts: readonly Chart[] = [
  {
    title: 'Loss',
    unit: 'mean square of hidden pixels',
    mayBeLog: true,
    lines: [{ key: 'loss', label: 'loss', colour: 0 }],
    references: ({ loss, words }) =>
      Number.isNaN(loss) ? [] : [{ label: `${words} = ${loss.toFixed(2)}`, value: loss }],
  },
  {
    title: 'Spread of predictions over images',
    unit: 'deviation of a pixel',
    lines: [{ key: 'spread', label: 'spread', colour: 0 }],
  },
];

/**
 * Zero for every pixel. A patch of P values whose variance is taken with P - 1 has a mean square of (P - 1) / P, less
 * where it is flat. Of pixels as they are it depends on the images: NaN.
 */
function chance(config: RunConfig): Chance {
  const P = 3 * config.model.patch_size ** 2;
  const loss = ours(config).target.normalised ? (P - 1) / P : Number.NaN;
  return { loss, words: 'zero for every pixel', figures: {} };
}

/** What a step of MAE says, and what it is held against. */
export const account: Account = {
  figures: [
    {
      key: 'spread',
      title: 'Spread',
      scale: 'plain',
      unit: 'deviation of a pixel',
      isMain: false,
      about: 'How far drawn pixels differ from image to image; near 0 the decoder ignores what the encoder saw',
    },
  ],
  charts,
  chance,
  alarm({ metrics }, config) {
    const last = metrics.slice(-LAST_STEPS);
    if (last.length < LAST_STEPS || last.at(-1)!.step <= PATIENCE) return null;
    const { loss: zero, words } = chance(config);
    if (meanOf(last, 'loss') > AS_GUESSED * zero)
      return notLearning(
        `The loss stays at what ${words} gives (${zero.toFixed(2)}): nothing is learned yet.`,
        livelier(config),
      );
    const spread = meanOf(last, 'spread');
    if (spread < LEAST_SPREAD)
      return {
        word: 'images alike',
        kind: 'ignores-images',
        level: 'alarm',
        trouble: 'collapsed',
        text: `All images are drawn alike (spread ${spread.toPrecision(2)}, below ${LEAST_SPREAD}): the decoder ignores what the encoder saw.`,
        advice: livelier(config),
      };
    return null;
  },
  notes: () => [],
  causes: (_, config) => rateCauses(config, 'published'),
  health: 'Error and spread of reconstructions, effective rank and uniformity',
};

/** What to do where nothing is learned. */
export function livelier(config: RunConfig): string {
  const steps = config.train.steps === null ? 'train.epochs' : 'train.steps';
  return `Try more steps (${steps}), or another peak rate (${peakRate(config, 'published')}).`;
}
