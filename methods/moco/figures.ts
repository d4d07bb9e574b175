import type { RunConfig } from '../../shared/config.ts';
import { entropyChart, figureOf, LAST_STEPS } from '../../shared/figures.ts';
import type { Account, Chance, ChanceOptions, Chart, Figure, LastSteps, Sign } from '../../shared/method.ts';
import { ours } from './config.ts';

const OF_QUERIES = '% of queries';
const figures: readonly Figure[] = [
  {
    ...{ key: 'top1', title: 'Found', scale: 'share', unit: OF_QUERIES, isMain: true },
    about: 'Share of queries whose own key, of the other crop, was nearer than all other candidates',
  },
  {
    ...{ key: 'rank_cls', title: 'Effective rank of CLS', scale: 'plain', unit: 'dimensions', isMain: false },
    about: 'How many directions the CLS tokens of a batch use, before the head',
  },
  {
    ...{ key: 'cosine_cls', title: 'Mean cosine of CLS', scale: 'plain', unit: '', isMain: false },
    about:
      'How much the CLS tokens of two images are alike, before the head, which spreads whatever it is given; 1 where all are one',
  },
];

const charts: readonly Chart[] = [
  entropyChart,
  {
    title: 'Own key found',
    unit: OF_QUERIES,
    isShare: true,
    lines: [{ key: 'top1', label: 'found', colour: 0 }],
    references: ({ figures: { top1 } }) => [{ label: `chance ${(100 * top1!).toPrecision(2)} %`, value: top1! }],
  },
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
    references: () => [{ label: `${HIGH_COSINE}, collapsed`, value: HIGH_COSINE }],
  },
];

/** Two CLS tokens this much alike, over a batch, are those of a network that tells no images apart. It is 0.3 to 0.9 at the start. */
const HIGH_COSINE = 0.99;
/** Steps that a run gets before a warning that it does not learn. */
const PATIENCE = 300;
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

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

/** Steps until a queue holds no random key any more: until then its loss rises. */
function filledAt(config: RunConfig): number {
  const { contrast, train } = ours(config);
  return contrast.dictionary === 'batch' ? 0 : Math.ceil(contrast.queue / (train.batch_size * train.accumulation));
}

/** What a step of MoCo says, and what it is held against. */
export const account: Account = {
  figures,
  charts,
  chance,
  alarm({ metrics, measured }: LastSteps, config): Sign | null {
    const last = metrics.slice(-LAST_STEPS);
    if (last.length < LAST_STEPS) return null;
    const cosine = measured && measured.step > 1 ? figureOf(measured, 'cosine_cls') : null;
    if (cosine !== null && cosine > HIGH_COSINE && measured!.step > PATIENCE)
      return {
        word: 'collapsed',
        kind: 'collapsed',
        level: 'alarm',
        text: `The CLS tokens of different images are one: their mean cosine is ${cosine.toFixed(3)} (above ${HIGH_COSINE} is a collapse).`,
        advice: steadier(config),
      };
    const { loss: guessing, words } = chance(config);
    if (last.at(-1)!.step > PATIENCE + filledAt(config) && mean(last.map(({ loss }) => loss)) > 0.99 * guessing)
      return {
        word: 'not learning',
        kind: 'not-learning',
        level: 'alarm',
        text: `The loss stays at ${words} (${guessing.toFixed(2)}): keys are found no more often than by guessing.`,
        advice: steadier(config),
      };
    return null;
  },
  notes(metrics, config): Sign[] {
    const filled = filledAt(config);
    const last = metrics.at(-1);
    if (!last || last.step >= filled) return [];
    return [
      {
        word: 'queue filling',
        kind: 'queue-filling',
        level: 'note',
        text: `The queue still has random keys, which are easily told apart: it is full at step ${filled}, and the loss rises until then.`,
        advice: 'Judge the loss from then on. A smaller contrast.queue fills sooner.',
      },
    ];
  },
};

/** What to do where a run learns nothing, or all images become one. */
function steadier(config: RunConfig): string {
  const { optimizer, train, momentum } = ours(config);
  const published = Number(((1.5e-4 * train.batch_size * train.accumulation) / 256).toPrecision(2));
  const rate = `optimizer.lr, now ${optimizer.lr}; published: 1.5e-4 for every 256 images of a step, here ${published}`;
  const teacher = momentum.start < 0.9 ? ` momentum.start is ${momentum.start}; published: 0.99.` : '';
  return `Try another peak rate (${rate}), a longer warm-up, or a larger train.batch_size.${teacher}`;
}
