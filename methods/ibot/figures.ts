import type { RunConfig } from '../../shared/config.ts';
import {
  AS_EVEN,
  AS_GUESSED,
  adviceOf,
  chanceOfShare,
  collapsed,
  figureOf,
  guessedLoss,
  HIGH_COSINE,
  LAST_STEPS,
  meanOf,
  notLearning,
} from '../../shared/figures.ts';
import type { Account, Cause, Chance, Chart, Figure, LastSteps, Sign } from '../../shared/method.ts';
import type { Metric } from '../../shared/run.ts';
import { ours } from './config.ts';

/** Steps that a run gets, beside those with a frozen last layer, before a warning that it does not learn. */
const PATIENCE = 300;
/** Nats below which a distribution is one class. */
const ONE_CLASS = 0.05;

const figures: readonly Figure[] = [
  {
    key: 'accuracy',
    title: 'Agreement',
    scale: 'share',
    unit: '% of images',
    isMain: true,
    about: 'Share of images of whose second crop the student says the class that the teacher says of the first',
  },
  {
    key: 'loss_cls',
    title: 'Loss of CLS',
    scale: 'plain',
    unit: 'nats',
    isMain: false,
    about: 'Cross-entropy of one crop’s CLS with what the teacher says of another',
  },
  {
    key: 'loss_patch',
    title: 'Loss of patches',
    scale: 'plain',
    unit: 'nats',
    isMain: false,
    about: 'Cross-entropy of masked patches with what the teacher says of them; a crop without a mask counts as 0',
  },
  {
    key: 'teacher_entropy_cls',
    title: 'Entropy of CLS',
    scale: 'plain',
    unit: 'nats',
    isMain: false,
    about: 'How evenly the teacher spreads a crop over the classes',
  },
  {
    key: 'entropy_patch',
    title: 'Entropy of patches',
    scale: 'plain',
    unit: 'nats',
    isMain: false,
    about: 'How evenly the teacher spreads a masked patch over the classes',
  },
  {
    key: 'rank_images',
    title: 'Effective rank of CLS',
    scale: 'plain',
    unit: 'dimensions',
    isMain: false,
    about: "How many directions the teacher's CLS tokens of a batch use",
  },
  {
    key: 'cosine_images',
    title: 'Mean cosine of CLS',
    scale: 'plain',
    unit: '',
    isMain: false,
    about: "How much two images of a batch are alike by the teacher's CLS token; 1 where all are one",
  },
];

const lnOut = (config: RunConfig) => Math.log(ours(config).head.out);
const charts: readonly Chart[] = [
  {
    title: 'Loss',
    unit: 'nats',
    mayBeLog: true,
    lines: [
      { key: 'loss', label: 'loss', colour: 0 },
      { key: 'loss_cls', label: 'of CLS', colour: 1, dash: 1 },
      { key: 'loss_patch', label: 'of patches', colour: 3, dash: 2 },
    ],
    references: guessedLoss,
  },
  {
    title: 'Entropy of the teacher',
    unit: 'nats',
    lines: [
      { key: 'teacher_entropy_cls', label: 'of CLS', colour: 0 },
      { key: 'entropy_patch', label: 'of masked patches', colour: 1, dash: 1 },
    ],
    references: (_, config) => [
      { label: `ln out = ${lnOut(config).toFixed(2)}, all classes alike`, value: lnOut(config) },
    ],
  },
  {
    title: 'Agreement of teacher and student on two crops',
    unit: '% of images',
    isShare: true,
    lines: [{ key: 'accuracy', label: 'same class', colour: 0 }],
    references: chanceOfShare('accuracy'),
  },
  {
    title: 'Effective rank',
    unit: 'dimensions',
    isSparse: true,
    lines: [{ key: 'rank_images', label: 'CLS of images', colour: 0 }],
  },
  {
    title: 'Mean cosine between images',
    unit: '',
    isSparse: true,
    lines: [{ key: 'cosine_images', label: 'CLS of images', colour: 0 }],
  },
];

/** Every class alike: ln(out) for CLS, and for patches as often as a crop is masked. */
function chance(config: RunConfig): Chance {
  const { loss, mask } = ours(config);
  const masked = 1 - mask.unmasked;
  return {
    loss: lnOut(config) * (loss.cls + loss.patch * masked),
    words: `ln out × ${Number((loss.cls + loss.patch * masked).toFixed(2))}`,
    figures: { accuracy: 1 / ours(config).head.out },
  };
}

function alarm({ metrics, measured }: LastSteps, config: RunConfig): Sign | null {
  const last = metrics.slice(-LAST_STEPS);
  if (last.length < LAST_STEPS || last.at(-1)!.step <= PATIENCE + ours(config).head.frozen_steps) return null;
  const collapse = collapseOf(last, measured, config);
  if (collapse) return collapsed(`The teacher has collapsed: ${collapse}.`, steadier(config));
  const guessing = chance(config);
  if (meanOf(last, 'loss') < AS_GUESSED * guessing.loss) return null;
  return notLearning(
    `The loss stays at what guessing gives (${guessing.words} = ${guessing.loss.toFixed(2)}): nothing is learned yet.`,
    steadier(config),
  );
}

/** To one class, or to all alike; null where neither. */
function collapseOf(last: readonly Metric[], measured: Metric | null, config: RunConfig): string | null {
  const entropy = meanOf(last, 'teacher_entropy_cls');
  const most = lnOut(config);
  const cosine = measured && figureOf(measured, 'cosine_images');
  if (entropy < ONE_CLASS && cosine !== null && cosine > HIGH_COSINE.unspread)
    return `it gives every image one class (entropy ${entropy.toFixed(3)}, and two images have a mean cosine of ${cosine.toFixed(2)})`;
  if (entropy > AS_EVEN * most)
    return `it gives all classes alike (entropy ${entropy.toFixed(2)} of ln out = ${most.toFixed(2)})`;
  return null;
}

/** Settings of this run that are known to lead there, with steadier values. */
function unsteady(config: RunConfig): Cause[] {
  const { temperatures: t, centres, head, optimizer, momentum } = ours(config);
  const hot = Math.max(t.teacher, t.patch);
  return [
    hot > 0.07
      ? {
          why: `a temperature of the teacher is ${hot}, and above 0.07 the authors call it unstable`,
          todo: 'set it to 0.07',
          changes: {
            'temperatures.teacher': Math.min(t.teacher, 0.07),
            'temperatures.patch': Math.min(t.patch, 0.07),
          },
        }
      : null,
    centres.momentum > 0.99
      ? {
          why: `centres.momentum is ${centres.momentum}, so the centre lags behind`,
          todo: 'set it to 0.9',
          changes: { 'centres.momentum': 0.9 },
        }
      : null,
    head.frozen_steps === 0
      ? {
          why: 'head.frozen_steps is 0',
          todo: 'keep the last layer for an epoch',
          changes: { 'head.frozen_steps': 100 },
        }
      : null,
    momentum.schedule === 'none' || momentum.start < 0.98
      ? {
          why: 'the teacher follows fast',
          todo: 'set momentum.start to 0.99 or more',
          changes: {
            'momentum.start': 0.99,
            ...(momentum.schedule === 'none' && { 'momentum.schedule': 'cosine' }),
          },
        }
      : null,
    optimizer.lr > 5e-3
      ? { why: `optimizer.lr is ${optimizer.lr}`, todo: 'set it to 1e-3 or less', changes: { 'optimizer.lr': 1e-3 } }
      : null,
  ].filter((one) => one !== null);
}

export const steadier = (config: RunConfig): string =>
  adviceOf(unsteady(config)) ||
  `No setting of it stands out. Try a lower optimizer.lr (now ${config.optimizer.lr}), or a longer temperatures.warmup_epochs.`;

/** What a step of iBOT says, and what it is held against. */
export const account: Account = {
  figures,
  charts,
  chance,
  alarm,
  notes: () => [],
  causes: (trouble, config) => (trouble === 'places' ? [] : unsteady(config)),
  health: 'Classes in use, crops that fall together, effective rank and uniformity',
};
