import { gridOf, patchesOf, type RunConfig } from '../../shared/config.ts';
import {
  AS_GUESSED,
  chanceOfShare,
  collapsed,
  figureOf,
  guessedLoss,
  HIGH_COSINE,
  LAST_STEPS,
  meanOf,
  notLearning,
  peakRate,
  rateCauses,
  shareLine,
} from '../../shared/figures.ts';
import { filledAt, queueFilling } from '../../shared/key-queue.ts';
import type { Account, Cause, Chance, Chart, Figure, LastSteps, Sign, Trouble } from '../../shared/method.ts';
import type { Metric } from '../../shared/run.ts';
import { percent } from '../../shared/words.ts';
import { ours } from './config.ts';

/** Steps that a run gets, beside those that fill its queues and those without the loss of patches, before it is judged. */
const PATIENCE = 300;
/** Two keys of a queue this much alike are those of a network that tells nothing apart. */
const HIGH = HIGH_COSINE.unspread;
/** Patches of an image that are the match of some: fewer is one for all. */
export const FEWEST_MATCHED = 2;
/** Share of patches that match their own place above which it is the place that is matched. Crops overlap by chance alone. */
const BY_PLACE = 0.8;
/** Least area of crops from which two of them may well show the same place. */
const WHOLE = 0.8;
/** Share of rows above which there is nothing left to tell apart. */
const TOO_EASY = 0.99;

const OF_PATCHES = '% of patches';
const seldom = { scale: 'plain', isMain: false } as const;
const figures: readonly Figure[] = [
  {
    key: 'lookup_global',
    title: 'Crops found',
    scale: 'share',
    unit: '% of images',
    isMain: true,
    about: 'Share of first crops that were nearer to the second crop of their image than to every key of the queue',
  },
  {
    key: 'lookup_dense',
    title: 'Patches found',
    scale: 'share',
    unit: OF_PATCHES,
    isMain: true,
    about: 'Share of patches that were nearer to the patch they are matched with than to every key of the queue',
  },
  {
    key: 'loss_global',
    title: 'Loss of whole crops',
    unit: 'nats',
    ...seldom,
    about: 'Cross-entropy of finding the second crop of an image among the queue, before lambda',
  },
  {
    key: 'loss_dense',
    title: 'Loss of patches',
    unit: 'nats',
    ...seldom,
    about: 'Cross-entropy of finding the matched patch among the queue, before lambda',
  },
  {
    key: 'distinct',
    title: 'Distinct matches',
    scale: 'share',
    unit: OF_PATCHES,
    isMain: false,
    about:
      'Different patches of the second crop that those of the first are matched with, of all; one patch for all is a collapse',
  },
  {
    key: 'same_place',
    title: 'Matches at the same place',
    scale: 'share',
    unit: OF_PATCHES,
    isMain: false,
    about:
      'Share of patches that are matched with the one at their own place; two crops hardly ever show the same there',
  },
  {
    key: 'cosine_queue',
    title: 'Mean cosine of the keys of crops',
    unit: '',
    ...seldom,
    about: 'How much two keys of the queue are alike; 1 where all images are one',
  },
  {
    key: 'cosine_queue2',
    title: 'Mean cosine of the keys of patches',
    unit: '',
    ...seldom,
    about: "How much two keys of the patches' queue are alike, each the mean of a crop's; 1 where all are one",
  },
  {
    key: 'rank_patches',
    title: 'Effective rank of patch tokens',
    unit: 'dimensions',
    ...seldom,
    about: 'How many directions the patch tokens of a batch use, before the heads',
  },
];

const charts: readonly Chart[] = [
  {
    title: 'Loss',
    unit: 'nats',
    mayBeLog: true,
    lines: [
      { key: 'loss', label: 'loss', colour: 0 },
      { key: 'loss_global', label: 'of whole crops', colour: 1, dash: 1 },
      { key: 'loss_dense', label: 'of patches', colour: 3, dash: 2 },
    ],
    references: guessedLoss,
  },
  {
    title: 'Own key found',
    unit: '% of crops, of patches',
    isShare: true,
    lines: [
      { key: 'lookup_global', label: 'crops', colour: 0 },
      { key: 'lookup_dense', label: 'patches', colour: 1, dash: 1 },
    ],
    references: chanceOfShare('lookup_global'),
  },
  {
    title: 'Matches of patches',
    unit: OF_PATCHES,
    isShare: true,
    lines: [
      { key: 'distinct', label: 'distinct', colour: 0 },
      { key: 'same_place', label: 'at the same place', colour: 1, dash: 1 },
    ],
    references: (_, config) => {
      const one = 1 / patchesOf(config.model);
      return [shareLine('one patch,', one)];
    },
  },
  {
    title: 'Mean cosine between keys',
    unit: '',
    isSparse: true,
    lines: [
      { key: 'cosine_queue', label: 'of crops', colour: 0 },
      { key: 'cosine_queue2', label: 'of patches', colour: 1, dash: 1 },
    ],
    references: () => [{ label: `${HIGH}, collapsed`, value: HIGH }],
  },
  {
    title: 'Effective rank',
    unit: 'dimensions',
    isSparse: true,
    lines: [{ key: 'rank_patches', label: 'patch tokens', colour: 0 }],
  },
];

/** Both losses are of one key among its own and the queue's, and their weights are 1 together. */
function chance(config: RunConfig): Chance {
  const candidates = 1 + ours(config).contrast.queue;
  const one = 1 / candidates;
  return { loss: Math.log(candidates), words: 'ln(1 + K)', figures: { lookup_global: one, lookup_dense: one } };
}

const filled = (config: RunConfig) => filledAt(ours(config).contrast.queue, config.train);

function alarm({ metrics, measured }: LastSteps, config: RunConfig): Sign | null {
  const last = metrics.slice(-LAST_STEPS);
  const { dense, contrast } = ours(config);
  if (last.length < LAST_STEPS || last.at(-1)!.step <= PATIENCE + Math.max(filled(config), dense.start_steps))
    return null;
  const cosine = measured && figureOf(measured, 'cosine_queue');
  if (cosine !== null && cosine > HIGH)
    return collapsed(
      `The keys of different images are one: their mean cosine is ${cosine.toFixed(3)} (above ${HIGH} is a collapse).`,
      steadier(config),
    );
  const guessing = chance(config).loss;
  const [ofCrops, ofPatches] = [meanOf(last, 'loss_global'), meanOf(last, 'loss_dense')];
  if (meanOf(last, 'loss') > AS_GUESSED * guessing)
    return notLearning(
      `The loss stays at ln(1 + K) (${guessing.toFixed(2)}): keys are found no more often than by guessing.`,
      steadier(config),
    );
  const K = patchesOf(config.model);
  if (meanOf(last, 'distinct') * K < FEWEST_MATCHED)
    return {
      word: 'one match',
      kind: 'one-match',
      level: 'alarm',
      trouble: 'collapsed',
      text: `All ${K} patches of a crop are matched with one patch of the other: the encoder sees patches alike.`,
      advice: later(config),
    };
  if (dense.lambda > 0 && ofPatches > AS_GUESSED * guessing && ofCrops < AS_GUESSED * guessing)
    return {
      word: 'matches are noise',
      kind: 'noisy-matches',
      level: 'alarm',
      trouble: 'not-started',
      text:
        `Whole crops are found (loss ${ofCrops.toFixed(2)}), patches are not: their loss stays at ln(1 + ${contrast.queue}) ` +
        `= ${guessing.toFixed(2)}, for what they are matched with says nothing.`,
      advice: later(config),
    };
  const same = meanOf(last, 'same_place');
  if (same > BY_PLACE && config.augment.crop_scale[0] < WHOLE)
    return {
      word: 'matched by place',
      kind: 'matched-by-place',
      level: 'alarm',
      trouble: 'places',
      text:
        `${percent(same)} of the patches are matched with the one at their own place, where the other crop shows something ` +
        `else: they are matched by place, and nothing is learned of what they show.`,
      advice: `Use smaller crops (augment.crop_scale, now from ${config.augment.crop_scale[0]}), or no positions (model.position none).`,
    };
  return null;
}

/** That a run's queues fill, or that there is nothing left to tell apart. */
function notes(metrics: readonly Metric[], config: RunConfig): Sign[] {
  const filling = queueFilling(metrics, filled(config));
  const last = metrics.slice(-LAST_STEPS);
  if (filling.length > 0 || last.length < LAST_STEPS) return filling;
  const isEasy = (['lookup_global', 'lookup_dense'] as const).every((key) => meanOf(last, key) >= TOO_EASY);
  if (!isEasy) return [];
  return [
    {
      word: 'too easy',
      kind: 'queue-short',
      level: 'note',
      text: `Nearly every crop and patch finds its own key: a queue of ${ours(config).contrast.queue} keys leaves little to tell apart.`,
      advice: `Use a longer contrast.queue, or smaller crops (augment.crop_scale, now from ${config.augment.crop_scale[0]}).`,
    },
  ];
}

/** What to do where matches say nothing. */
export function later(config: RunConfig): string {
  const { dense } = ours(config);
  const patches = `${gridOf(config.model)} x ${gridOf(config.model)}`;
  return (
    `Begin with the loss of whole crops alone (dense.start_steps, now ${dense.start_steps}; 1000 where the authors do so), or ` +
    `give that of patches less weight (dense.lambda, now ${dense.lambda}). Larger patches than these ${patches} are easier to match.`
  );
}

function causes(_: Trouble, config: RunConfig): Cause[] {
  const { momentum } = ours(config);
  const teacher: Cause = {
    why: `momentum.start is ${momentum.start}, so the teacher follows fast`,
    todo: 'set it to 0.999',
    changes: { 'momentum.start': 0.999 },
  };
  return [...rateCauses(config, "MoCo v3's"), ...(momentum.start < 0.9 ? [teacher] : [])];
}

/** What to do where a run learns nothing, or all images become one. */
export function steadier(config: RunConfig): string {
  const { momentum } = ours(config);
  const teacher = momentum.start < 0.9 ? ` momentum.start is ${momentum.start}; published: 0.999.` : '';
  return `Try another peak rate (${peakRate(config, "MoCo v3's")}), a longer warm-up, or a larger train.batch_size.${teacher}`;
}

/** What a step of DenseCL says, and what it is held against. */
export const account: Account = {
  figures,
  charts,
  chance,
  alarm,
  notes,
  causes,
  health: 'Matches between an image and its mirror image, effective rank and uniformity of patch tokens',
};
