import type { RunConfig } from '../../shared/config.ts';
import {
  AS_EVEN,
  AS_GUESSED,
  adviceOf,
  chanceOfShare,
  collapsed,
  entropyChart,
  figureOf,
  HIGH_COSINE,
  LAST_STEPS,
  meanOf,
  notLearning,
} from '../../shared/figures.ts';
import type { Account, Cause, Chance, Chart, Figure, LastSteps, Sign } from '../../shared/method.ts';
import type { Metric } from '../../shared/run.ts';
import { ours, queueLength } from './config.ts';

/** Steps that a run gets, beside those with frozen prototypes, before a warning that it does not learn. */
const PATIENCE = 300;

const figures: readonly Figure[] = [
  {
    key: 'agreement',
    title: 'Agreement',
    scale: 'share',
    unit: '% of images',
    isMain: true,
    about: 'Share of images whose two large crops have the same nearest prototype',
  },
  {
    key: 'prototypes_used',
    title: 'Prototypes in use',
    scale: 'plain',
    unit: 'prototypes',
    isMain: true,
    about: 'Prototypes that are the nearest of some large crop of a micro-batch',
  },
  {
    key: 'code_entropy',
    title: 'Entropy of the codes',
    scale: 'plain',
    unit: 'nats',
    isMain: false,
    about: 'How evenly a code spreads over the prototypes; ln K where all images look alike',
  },
  {
    key: 'rank_images',
    title: 'Effective rank of the embeddings',
    scale: 'plain',
    unit: 'dimensions',
    isMain: false,
    about: "How many directions the embeddings of a batch's first crops use",
  },
  {
    key: 'cosine_images',
    title: 'Mean cosine of the embeddings',
    scale: 'plain',
    unit: '',
    isMain: false,
    about: 'How much two images of a batch are alike; 1 where all are one',
  },
];

const lnK = (config: RunConfig) => Math.log(ours(config).prototypes.count);
const charts: readonly Chart[] = [
  entropyChart,
  {
    title: 'Entropy of the codes',
    unit: 'nats',
    lines: [{ key: 'code_entropy', label: 'entropy', colour: 0 }],
    references: (_, config) => [{ label: `ln K = ${lnK(config).toFixed(2)}, collapse`, value: lnK(config) }],
  },
  {
    title: 'Agreement of the two large crops',
    unit: '% of images',
    isShare: true,
    lines: [{ key: 'agreement', label: 'same nearest prototype', colour: 0 }],
    references: chanceOfShare('agreement'),
  },
  {
    title: 'Prototypes in use',
    unit: 'prototypes',
    lines: [{ key: 'prototypes_used', label: 'of a micro-batch', colour: 0 }],
    references: (_, config) => {
      const most = mostUsed(config);
      return [{ label: `at most ${most}`, value: most }];
    },
  },
  {
    title: 'Effective rank',
    unit: 'dimensions',
    isSparse: true,
    lines: [{ key: 'rank_images', label: 'embeddings of images', colour: 0 }],
  },
  {
    title: 'Mean cosine between images',
    unit: '',
    isSparse: true,
    lines: [{ key: 'cosine_images', label: 'embeddings of images', colour: 0 }],
  },
];

/** Large crops of a micro-batch, or prototypes, whichever are fewer. */
const mostUsed = (config: RunConfig) => Math.min(ours(config).prototypes.count, 2 * config.train.batch_size);

/** Every prototype alike for every crop. */
const chance = (config: RunConfig): Chance => ({
  loss: lnK(config),
  words: 'ln K',
  figures: { agreement: 1 / ours(config).prototypes.count },
});

function alarm({ metrics, measured }: LastSteps, config: RunConfig): Sign | null {
  const last = metrics.slice(-LAST_STEPS);
  if (last.length < LAST_STEPS) return null;
  const collapse = collapseOf(last, measured, config);
  if (collapse) return collapsed(`The embeddings have collapsed: ${collapse}.`, steadier(config));
  const guessing = lnK(config);
  if (meanOf(last, 'loss') < AS_GUESSED * guessing) return null;
  if (last.at(-1)!.step <= PATIENCE + ours(config).prototypes.frozen_steps) return null;
  return notLearning(
    `The loss stays at ln K (${guessing.toFixed(2)}) or above: nothing is learned yet.`,
    steadier(config),
  );
}

/** What shows that all images look alike; null where nothing does. */
function collapseOf(last: readonly Metric[], measured: Metric | null, config: RunConfig): string | null {
  const entropy = meanOf(last, 'code_entropy');
  const most = lnK(config);
  if (entropy > AS_EVEN * most)
    return (
      `codes are uniform (entropy ${entropy.toFixed(2)} of ln K = ${most.toFixed(2)}), for balanced codes of images that ` +
      'are all alike are so'
    );
  // The first step's embeddings are those of a network that has learned nothing.
  const cosine = measured && measured.step > 1 ? figureOf(measured, 'cosine_images') : null;
  return cosine !== null && cosine > HIGH_COSINE.spread
    ? `two images have a mean cosine of ${cosine.toFixed(2)} (above ${HIGH_COSINE.spread} all look alike)`
    : null;
}

/** Rows that codes are balanced over. */
export const rowsOf = (config: RunConfig): number => config.train.batch_size + queueLength(ours(config));

/** The authors' remedies, where this run has not taken them. */
function unsteady(config: RunConfig): Cause[] {
  const { prototypes, queue, crops, optimizer } = ours(config);
  return [
    queue.length === 0 && crops.small === 0
      ? {
          why: 'neither a queue nor small crops, without which small batches are known to collapse',
          todo: 'set queue.length to 15 micro-batches, or crops.small to 4',
          changes: { 'crops.small': 4 },
        }
      : null,
    prototypes.epsilon > 0.03
      ? {
          why: `prototypes.epsilon is ${prototypes.epsilon}, and large ones make codes uniform`,
          todo: 'set it to 0.03',
          changes: { 'prototypes.epsilon': 0.03 },
        }
      : null,
    prototypes.frozen_steps < 300
      ? {
          why: `prototypes.frozen_steps is ${prototypes.frozen_steps}`,
          todo: 'set it to an epoch or more',
          changes: { 'prototypes.frozen_steps': 300 },
        }
      : null,
    optimizer.lr > 5e-3
      ? { why: `optimizer.lr is ${optimizer.lr}`, todo: 'set it to 1e-3 or less', changes: { 'optimizer.lr': 1e-3 } }
      : null,
  ].filter((one) => one !== null);
}

export const steadier = (config: RunConfig): string =>
  adviceOf(unsteady(config)) ||
  `No setting of it stands out. Try milder crops (augment.crop_scale), or a lower optimizer.lr (now ${config.optimizer.lr}).`;

/** What a step of SwAV says, and what it is held against. */
export const account: Account = {
  figures,
  charts,
  chance,
  alarm,
  notes: () => [],
  causes: (trouble, config) => (trouble === 'places' ? [] : unsteady(config)),
  health: 'Prototypes in use, crops that fall together, effective rank and uniformity',
};
