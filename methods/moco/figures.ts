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
import { filledAt, queueFilling } from '../../shared/key-queue.ts';
import type {
  Account,
  Cause,
  Chance,
  ChanceOptions,
  Chart,
  Figure,
  LastSteps,
  Sign,
  Trouble,
} from '../../shared/method.ts';
import { ours } from './config.ts';

const OF_QUERIES = '% of queries';
const figures: readonly Figure[] = [
  {
    key: 'top1',
    title: 'Found',
    scale: 'share',
    unit: OF_QUERIES,
    isMain: true,
    about: 'Share of queries whose own key, of the other crop, was nearer than all other candidates',
  },
  ...clsFigures('images'),
];

const charts: readonly Chart[] = [
  entropyChart,
  {
    title: 'Own key found',
    unit: OF_QUERIES,
    isShare: true,
    lines: [{ key: 'top1', label: 'found', colour: 0 }],
    references: chanceOfShare('top1'),
  },
  ...clsCharts,
];

/** Steps that a run gets before a warning that it does not learn. */
const PATIENCE = 300;

/**
 * A query chooses among the keys of its micro-batch (times 2 T, both ways), or among its own and the queue's: once with one
 * queue, both ways with two.
 */
function chance(config: RunConfig, { batch = config.train.batch_size }: ChanceOptions = {}): Chance {
  const { dictionary, temperature, queue } = ours(config).contrast;
  if (dictionary === 'batch')
    return { loss: 4 * temperature * Math.log(batch), words: '4 T ln N', figures: { top1: 1 / batch } };
  const entropy = Math.log(1 + queue);
  return {
    ...(dictionary === 'queue' ? { loss: entropy, words: 'ln(1 + K)' } : { loss: 2 * entropy, words: '2 ln(1 + K)' }),
    figures: { top1: 1 / (1 + queue) },
  };
}

/** Steps until no queue holds a random key any more. */
function filled(config: RunConfig): number {
  const { contrast, train } = ours(config);
  return contrast.dictionary === 'batch' ? 0 : filledAt(contrast.queue, train);
}

/** What a step of MoCo says, and what it is held against. */
export const account: Account = {
  health: 'Crops of an image found among others, effective rank and uniformity',
  figures,
  charts,
  chance,
  alarm(lastSteps: LastSteps, config): Sign | null {
    const last = lastSteps.metrics.slice(-LAST_STEPS);
    if (last.length < LAST_STEPS) return null;
    const collapse = clsCollapse(lastSteps, PATIENCE, steadier(config));
    if (collapse) return collapse;
    const { loss: guessing, words } = chance(config);
    if (last.at(-1)!.step > PATIENCE + filled(config) && meanOf(last, 'loss') > AS_GUESSED * guessing)
      return notLearning(
        `The loss stays at ${words} (${guessing.toFixed(2)}): keys are found no more often than by guessing.`,
        steadier(config),
      );
    return null;
  },
  notes: (metrics, config) => queueFilling(metrics, filled(config)),
  causes,
};

function causes(_: Trouble, config: RunConfig): Cause[] {
  const { momentum } = ours(config);
  const teacher: Cause = {
    why: `momentum.start is ${momentum.start}, so the teacher follows fast`,
    todo: 'set it to 0.99',
    changes: { 'momentum.start': 0.99 },
  };
  return [...rateCauses(config, 'published'), ...(momentum.start < 0.9 ? [teacher] : [])];
}

/** What to do where a run learns nothing, or all images become one. */
export function steadier(config: RunConfig): string {
  const { momentum } = ours(config);
  const teacher = momentum.start < 0.9 ? ` momentum.start is ${momentum.start}; published: 0.99.` : '';
  return `Try another peak rate (${peakRate(config, 'published')}), a longer warm-up, or a larger train.batch_size.${teacher}`;
}
