import { clsCharts, clsCollapse, clsFigures } from '../../shared/cls-figures.ts';
import type { RunConfig } from '../../shared/config.ts';
import {
  AS_GUESSED,
  chanceOfShare,
  entropyChart,
  LAST_STEPS,
  meanOf,
  notLearning,
  peakRate,
  rateCauses,
} from '../../shared/figures.ts';
import type { Account, Chance, ChanceOptions, Chart, Figure, LastSteps, Sign } from '../../shared/method.ts';

const OF_IMAGES = '% of images';
const figures: readonly Figure[] = [
  {
    key: 'accuracy',
    title: 'Partner found',
    scale: 'share',
    unit: OF_IMAGES,
    isMain: true,
    about: 'Share of first crops that were nearer to the second crop of their image than to that of any other',
  },
  {
    key: 'entropy',
    title: 'Entropy of the choice',
    scale: 'plain',
    unit: 'nats',
    isMain: false,
    about:
      'How undecided the first crops are between the second crops of a batch; ln N where they cannot tell them apart',
  },
  ...clsFigures('crops'),
];

/** Steps that a run gets before a warning that it does not learn. */
const PATIENCE = 300;

const charts: readonly Chart[] = [
  entropyChart,
  {
    title: 'Partner found',
    unit: OF_IMAGES,
    isShare: true,
    lines: [{ key: 'accuracy', label: 'found', colour: 0 }],
    references: chanceOfShare('accuracy'),
  },
  {
    title: 'Entropy of the choice',
    unit: 'nats',
    lines: [{ key: 'entropy', label: 'entropy', colour: 0 }],
    references: ({ figures: { entropy } }) => [{ label: `ln N = ${entropy!.toFixed(2)}, guessing`, value: entropy! }],
  },
  ...clsCharts,
];

/** A crop chooses among the 2 N - 1 others of its micro-batch. */
function chance(config: RunConfig, { batch = config.train.batch_size }: ChanceOptions = {}): Chance {
  const figures = { accuracy: 1 / batch, entropy: Math.log(batch) };
  return { loss: Math.log(2 * batch - 1), words: 'ln(2 N - 1)', figures };
}

/** What a step of SimCLR says, and what it is held against. */
export const account: Account = {
  health: 'Crops of an image found among others, effective rank and uniformity',
  figures,
  charts,
  chance,
  alarm(lastSteps: LastSteps, config): Sign | null {
    const last = lastSteps.metrics.slice(-LAST_STEPS);
    if (last.length < LAST_STEPS || last.at(-1)!.step <= PATIENCE) return null;
    const collapse = clsCollapse(lastSteps, PATIENCE, livelier(config));
    if (collapse) return collapse;
    const { loss: guessing, words } = chance(config);
    if (meanOf(last, 'loss') > AS_GUESSED * guessing)
      return notLearning(
        `The loss stays at ${words} (${guessing.toFixed(2)}): crops find their partners no more often than by guessing.`,
        livelier(config),
      );
    return null;
  },
  causes: (_, config) => rateCauses(config, "MoCo v3's"),
  notes(metrics, config): Sign[] {
    const last = metrics.slice(-LAST_STEPS);
    if (last.length < LAST_STEPS || !(meanOf(last, 'accuracy') >= 0.99)) return [];
    return [
      {
        word: 'too easy',
        kind: 'views-alike',
        level: 'note',
        text: 'Nearly every crop finds its partner: there is little left to learn from these views.',
        advice: `Use smaller crops (augment.crop_scale, now from ${config.augment.crop_scale[0]}), stronger jitter, or a larger train.batch_size.`,
      },
    ];
  },
};

/** What to do where a run learns nothing, or all images become one. */
export function livelier(config: RunConfig): string {
  return `Try another peak rate (${peakRate(config, "MoCo v3's")}), a longer warm-up, or a larger train.batch_size.`;
}
