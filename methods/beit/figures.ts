import { patchesOf, type RunConfig } from '../../shared/config.ts';
import { AS_GUESSED, guessedLoss, LAST_STEPS, meanOf, notLearning, rateCauses } from '../../shared/figures.ts';
import type { Account, Cause, Chance, Chart, Figure, Sign, Trouble } from '../../shared/method.ts';
import type { Metric } from '../../shared/run.ts';
import { fewestCodes } from '../tokenizer/figures.ts';
import { ours } from './config.ts';

/** Steps that a run gets before it is judged. */
export const PATIENCE = 300;

const OF_MASKED = '% of masked patches';
export const figures: readonly Figure[] = [
  {
    key: 'accuracy',
    title: 'Accuracy',
    scale: 'share',
    unit: OF_MASKED,
    isMain: true,
    about: 'Share of masked patches whose own token was the likeliest',
  },
  {
    key: 'frequent',
    title: 'Most frequent token',
    scale: 'share',
    unit: OF_MASKED,
    isMain: false,
    about: 'What always saying the most frequent token would get right',
  },
  {
    key: 'token_entropy',
    title: 'Entropy of tokens',
    scale: 'plain',
    unit: 'nats',
    isMain: false,
    about:
      'What a network gives that knows how frequent tokens are, and nothing of images; small where the tokenizer has collapsed',
  },
];

export const accuracyChart: Chart = {
  title: 'Accuracy',
  unit: OF_MASKED,
  isShare: true,
  lines: [
    { key: 'accuracy', label: 'tokens found', colour: 0 },
    { key: 'frequent', label: 'by the most frequent token', colour: 1, dash: 1 },
  ],
};
const charts: readonly Chart[] = [
  {
    title: 'Loss',
    unit: 'nats',
    mayBeLog: true,
    lines: [
      { key: 'loss', label: 'loss', colour: 0 },
      { key: 'token_entropy', label: 'knowing frequencies alone', colour: 1, dash: 1 },
    ],
    references: guessedLoss,
  },
  accuracyChart,
];

/** One of V tokens. */
export function chance(config: RunConfig): Chance {
  const { codes } = ours(config).tokenizer;
  return { loss: Math.log(codes), words: 'ln V', figures: { accuracy: 1 / codes } };
}

/** The last steps, where there are enough to judge a run by. */
export const settled = (metrics: readonly Metric[]): readonly Metric[] | null => {
  const last = metrics.slice(-LAST_STEPS);
  return last.length < LAST_STEPS || last.at(-1)!.step <= PATIENCE ? null : last;
};

/** That the tokens are few: a fault of the tokenizer. A step counts those of the patches that a micro-batch hides. */
export function fewTokens(last: readonly Metric[], config: RunConfig): Sign | null {
  const { tokenizer, mask, model, train } = ours(config);
  const { codes, run } = tokenizer;
  const perplexity = Math.exp(meanOf(last, 'token_entropy'));
  const fewest = fewestCodes(codes, train.batch_size * mask.ratio * patchesOf(model));
  if (!(perplexity < fewest)) return null;
  return {
    word: 'few tokens',
    kind: 'few-tokens',
    level: 'alarm',
    trouble: 'collapsed',
    text:
      `The tokenizer has ${codes} tokens, and uses them as unevenly as if there were ${perplexity.toFixed(1)} equally frequent ` +
      `ones (fewer than ${fewest.toFixed(0)} are a collapse): it has collapsed, and a low loss says nothing.`,
    advice: `Train another tokenizer${run === null ? '' : ` than run ${run}`}, and look at its perplexity.`,
  };
}

/** What to do where nothing is learned. */
export const livelier = ({ model, optimizer, train }: RunConfig): string =>
  model.position === 'shared-relative-bias'
    ? 'With few images set model.position=absolute: relative positions start at zero, so all masked patches of an image are one at first.'
    : `Try more steps (${train.steps === null ? 'train.epochs' : 'train.steps'}), or another peak rate (optimizer.lr, now ${optimizer.lr}).`;

export function causes(trouble: Trouble, config: RunConfig): readonly Cause[] {
  const relative: Cause = {
    why: 'model.position is shared-relative-bias, which starts at zero, so all masked patches of an image are one at first',
    todo: 'with few images set it to absolute',
    changes: { 'model.position': 'absolute' },
  };
  const isRelative = trouble === 'not-started' && config.model.position === 'shared-relative-bias';
  return [...(isRelative ? [relative] : []), ...rateCauses(config, 'published')];
}

/** What a health report looks at. */
export const health = 'Tokens found, tokens in use, effective rank and uniformity';

/** What a step of BEiT says, and what it is held against. */
export const account: Account = {
  figures,
  charts,
  chance,
  alarm({ metrics }, config) {
    const last = settled(metrics);
    if (!last) return null;
    const few = fewTokens(last, config);
    if (few) return few;
    const [loss, entropy] = [meanOf(last, 'loss'), meanOf(last, 'token_entropy')];
    if (loss < AS_GUESSED * entropy) return null;
    return notLearning(
      `The loss (${loss.toFixed(2)}) is not below the entropy of the tokens (${entropy.toFixed(2)}): it knows how frequent ` +
        'tokens are, and nothing of the images.',
      livelier(config),
    );
  },
  notes: () => [],
  causes,
  health,
};
