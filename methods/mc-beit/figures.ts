import { patchesOf } from '../../shared/config.ts';
import { AS_GUESSED, collapsed, guessedLoss, meanOf, notLearning } from '../../shared/figures.ts';
import type { Account, Chart, Figure } from '../../shared/method.ts';
import {
  accuracyChart,
  causes,
  chance,
  fewTokens,
  health,
  livelier,
  figures as ofTokens,
  settled,
} from '../beit/figures.ts';
import { ours } from './config.ts';

const figures: readonly Figure[] = [
  ...ofTokens,
  {
    key: 'divergence',
    title: 'Divergence',
    scale: 'plain',
    unit: 'nats',
    isMain: true,
    about: 'The loss less the entropy of the targets, below which it cannot fall: what has to fall',
  },
  {
    key: 'target_entropy',
    title: 'Entropy of targets',
    scale: 'plain',
    unit: 'nats',
    isMain: false,
    about: 'How undecided targets are after patches shared theirs',
  },
  {
    key: 'choices',
    title: 'Tokens a target names',
    scale: 'plain',
    unit: 'tokens',
    isMain: false,
    about:
      'exp of the mean entropy of the tokenizer’s own targets: below 2 the method is BEiT, above a quarter of all tokens they say nothing',
  },
  {
    key: 'mixing',
    title: 'Sharing',
    scale: 'plain',
    unit: '',
    isMain: false,
    about:
      'The largest weight that a patch has among those that share, times how many there are: 1 where all weigh alike',
  },
];

const charts: readonly Chart[] = [
  {
    title: 'Loss',
    unit: 'nats',
    mayBeLog: true,
    lines: [
      { key: 'loss', label: 'loss', colour: 0 },
      { key: 'target_entropy', label: 'entropy of targets', colour: 1, dash: 1 },
      { key: 'divergence', label: 'divergence, the difference', colour: 3 },
    ],
    references: guessedLoss,
  },
  accuracyChart,
  {
    title: 'Sharing',
    unit: 'largest weight, times patches',
    lines: [{ key: 'mixing', label: 'largest weight', colour: 0 }],
    references: () => [{ label: '1, all alike', value: 1 }],
  },
];

/** Below this all patches of an image weigh alike: features have collapsed. */
const UNIFORM = 1.05;

/** What a step of mc-BEiT says, and what it is held against. */
export const account: Account = {
  figures,
  charts,
  chance,
  alarm({ metrics }, config) {
    const last = settled(metrics);
    if (!last) return null;
    const few = fewTokens(last, config);
    if (few) return few;
    const mixing = meanOf(last, 'mixing');
    const { similarity_temperature } = ours(config).targets;
    if (mixing < UNIFORM && similarity_temperature <= 1 && patchesOf(config.model) > 4)
      return collapsed(
        `All patches of an image look alike to the student: the largest weight that one has is ${mixing.toFixed(3)} times the mean.`,
        `Lower optimizer.lr (now ${config.optimizer.lr}), or what patches share (targets.omega, now ` +
          `${ours(config).targets.omega}). Then train it anew.`,
      );
    const [loss, guessing] = [meanOf(last, 'loss'), chance(config).loss];
    if (loss < AS_GUESSED * guessing) return null;
    return notLearning(
      `The loss (${loss.toFixed(2)}) stays at what guessing gives (${guessing.toFixed(2)}): nothing is learned yet.`,
      livelier(config),
    );
  },
  notes: () => [],
  causes,
  health,
};
