import { patchesOf, type RunConfig } from '../../shared/config.ts';
import {
  AS_GUESSED,
  adviceOf,
  chanceOfShare,
  collapsed,
  entropyChart,
  figureOf,
  HIGH_COSINE,
  isFalling,
  LAST_STEPS,
  lastStepsOf,
  notLearning,
} from '../../shared/figures.ts';
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
import type { Metric } from '../../shared/run.ts';
import { percent } from '../../shared/words.ts';
import { type ConMIMRunConfig, ours } from './config.ts';

const OF_MASKED = '% of masked patches';
const figures: readonly Figure[] = [
  {
    key: 'top1',
    title: 'Look-up',
    scale: 'share',
    unit: OF_MASKED,
    isMain: true,
    about: 'Share of masked patches whose own key was found',
  },
  {
    key: 'top5',
    title: 'Look-up, top-5',
    scale: 'share',
    unit: OF_MASKED,
    isMain: false,
    about: 'Share of masked patches whose own key was among the best five',
  },
  {
    key: 'top1_control',
    title: 'Control',
    scale: 'share',
    unit: OF_MASKED,
    isMain: true,
    about: "The same, asked for another image's keys: what position alone gives",
  },
  ...(['teacher', 'student'] as const).flatMap((who): Figure[] => {
    const what = who === 'teacher' ? 'keys' : 'queries';
    return [
      {
        key: `rank_${who}`,
        title: `Effective rank of the ${what}`,
        scale: 'plain',
        unit: 'dimensions',
        isMain: false,
        about: `How many directions the ${what} of a batch use`,
      },
      {
        key: `cosine_${who}`,
        title: `Mean cosine of the ${what}`,
        scale: 'plain',
        unit: '',
        isMain: false,
        about: `How much two of the ${what} of a batch are alike; 1 where all are one`,
      },
    ];
  }),
];

const ofBoth = (figure: string) => [
  { key: `${figure}_teacher`, label: 'teacher (keys)', colour: 0 },
  { key: `${figure}_student`, label: 'student (queries)', colour: 1, dash: 1 },
];
const charts: readonly Chart[] = [
  entropyChart,
  {
    title: 'Look-ups',
    unit: OF_MASKED,
    isShare: true,
    lines: [
      { key: 'top1', label: 'top-1', colour: 0 },
      { key: 'top5', label: 'top-5', colour: 3 },
      { key: 'top1_control', label: "top-1, another image's keys (position alone)", colour: 1, dash: 1 },
    ],
    references: chanceOfShare('top1'),
  },
  { title: 'Effective rank', unit: 'dimensions', isSparse: true, lines: ofBoth('rank') },
  { title: 'Mean cosine between features', unit: '', isSparse: true, lines: ofBoth('cosine') },
];

/**
 * A query chooses among the K patches of its own image, or of every image of its micro-batch where the dictionary is the
 * batch. The control is always asked among the keys of one image.
 */
function chance(config: RunConfig, { batch = config.train.batch_size }: ChanceOptions = {}): Chance {
  const K = patchesOf(config.model);
  const isBatch = ours(config).contrast.dictionary === 'batch';
  const among = isBatch ? K * batch : K;
  return {
    loss: Math.log(among),
    words: isBatch ? 'ln(K·B)' : 'ln K',
    figures: { top1: 1 / among, top5: Math.min(1, 5 / among), top1_control: 1 / K },
  };
}

/** Share of the directions that keys use at least; and how many, whatever their width. */
const [LOW_RANK, LEAST_RANK] = [0.05, 2];
/** Share of the loss of guessing above which a loss is worse than guessing: batches vary. */
const ABOVE = 1.02;
/** Points at the end of a curve that are averaged. */
const LAST = LAST_STEPS;
/** Steps that a run gets before a warning that it does not learn. */
const PATIENCE = 300;
/** And before one that it is worse than guessing, as every run is that begins. */
const BEGINNING = 100;

const isNumber = (value: number | null | undefined): value is number => typeof value === 'number';
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** Fewer directions than these are a collapse. @param rows keys that were looked at */
export const leastRank = (width: number, rows: number) => Math.max(LEAST_RANK, LOW_RANK * Math.min(width, rows));

/** The rule for a collapse of keys, with what it says; null where they have not collapsed. */
export function collapseOf(keys: { rank: number; cosine: number; width: number; rows: number }): string | null {
  const least = leastRank(keys.width, keys.rows);
  if (keys.rank < least)
    return `they use ${keys.rank.toFixed(2)} of ${keys.width} directions (fewer than ${least.toFixed(2)} are a collapse)`;
  if (keys.cosine > HIGH_COSINE.spread)
    return `two of them have a mean cosine of ${keys.cosine.toFixed(2)} (above ${HIGH_COSINE.spread} all patches look alike)`;
  return null;
}

/** What is going wrong with a run now, by its last steps; null where nothing is, or it is too early to say. */
function alarm({ metrics, measured }: LastSteps, config: RunConfig): Sign | null {
  const last = metrics.slice(-LAST);
  if (last.length < LAST) return null;
  const width = ours(config).projector.out;
  const rows = patchesOf(config.model) * config.train.batch_size;
  const [rank, cosine] = ['rank_teacher', 'cosine_teacher'].map((key) => measured && figureOf(measured, key));
  // The first step's keys are those of a network that has learned nothing: it cannot have collapsed.
  const collapse =
    isNumber(rank) && isNumber(cosine) && measured!.step > 1 ? collapseOf({ rank, cosine, width, rows }) : null;
  if (collapse)
    return collapsed(
      `The teacher's keys have collapsed: ${collapse}. Look-ups among such keys say little.`,
      steadier(config),
    );
  const guessing = chance(config);
  const loss = mean(last.map((m) => m.loss));
  const uniform = `${guessing.words} (${guessing.loss.toFixed(2)})`;
  if (loss > guessing.loss * ABOVE && last.at(-1)!.step > BEGINNING && !isFalling(metrics))
    return {
      word: 'worse than guessing',
      kind: 'worse-than-guessing',
      level: 'alarm',
      trouble: troubleAbove(config),
      text: `The loss (${loss.toFixed(2)}) is above ${uniform}: look-ups are worse than guessing, which a collapse begins with.`,
      advice: steadier(config),
    };
  if (loss > AS_GUESSED * guessing.loss && last.at(-1)!.step > PATIENCE)
    return notLearning(`The loss stays at ${uniform}: nothing is learned yet.`, livelier(config));
  return null;
}

/** Which of two it is that a loss above guessing stands for: settings say it, where one alone stands out. */
function troubleAbove(any: RunConfig): Trouble {
  const config = ours(any);
  return unsteady(config).length === 0 && lifeless(config).length > 0 ? 'not-started' : 'diverging';
}

/** What a whole curve tells beside that; nothing where something is wrong by the last steps. */
function notes(metrics: readonly Metric[], config: RunConfig): Sign[] {
  if (alarm(lastStepsOf(metrics, charts), config)) return [];
  const controls = metrics.flatMap(({ figures: { top1_control: c, top1: t } }) =>
    isNumber(c) && isNumber(t) ? [{ c, gap: t - c }] : [],
  );
  const ranks = metrics.flatMap(({ figures: { rank_teacher: rank }, step }) =>
    isNumber(rank) && step !== 1 ? [rank] : [],
  );
  // Where the dictionary is the batch, look-ups are among more keys than their control: the two cannot be subtracted.
  const isComparable = ours(config).contrast.dictionary === 'image';
  if (isComparable && controls.length >= 2 * LAST) {
    const top1 = mean(metrics.slice(-LAST).map((m) => m.figures.top1 ?? Number.NaN));
    const control = mean(controls.slice(-LAST).map(({ c }) => c));
    const gap = mean(controls.slice(-LAST).map((x) => x.gap));
    const [bestTop1, bestControl] = [
      greatest(metrics.map((m) => m.figures.top1 ?? Number.NaN)),
      greatest(controls.map(({ c }) => c)),
    ];
    if (top1 < bestTop1 - 0.1 && control < bestControl - 0.1 && gap > 0.1)
      return [
        {
          word: 'forgets position',
          kind: 'forgets-position',
          level: 'note',
          text:
            `Look-ups fall (${percent(top1, 0)}), and those with another image's keys as well (${percent(control, 0)}): ` +
            `position is being forgotten, content explains ${percent(gap, 0)}. That is not a collapse.`,
          advice: '',
        },
      ];
  }
  const rising = risingOf(metrics, ranks, config);
  if (rising) return [rising];
  if (isComparable && controls.length >= 2 * LAST) {
    const control = mean(controls.slice(-LAST).map(({ c }) => c));
    const gap = mean(controls.slice(-LAST).map((x) => x.gap));
    const gained = control + gap - 1 / patchesOf(config.model);
    if (gap < Math.max(0.02, LITTLE * gained) && control > 3 / patchesOf(config.model))
      return [
        {
          word: 'position alone',
          kind: 'position-alone',
          level: 'note',
          trouble: 'places',
          text: `Look-ups are hardly better than with another image's keys: so far position alone is learned.`,
          advice: contentful(config),
        },
      ];
  }
  return [];
}

/** Share of what look-ups gain over guessing that is no content to speak of. */
const LITTLE = 0.05;

/** Nats, and share of directions, by which a run has to get worse before that is said. */
const [WORSE_LOSS, FEWER] = [0.3, 0.75];

/** A loss that rises again while keys lose directions: what a slow collapse looks like. */
function risingOf(metrics: readonly Metric[], ranks: readonly number[], config: RunConfig): Sign | null {
  const losses = metrics.map((m) => m.loss).filter(Number.isFinite);
  // A run that begins may do both, and recover.
  if (losses.length < 3 * LAST || ranks.length < 2 || metrics.at(-1)!.step <= PATIENCE) return null;
  const means = losses.slice(LAST - 1).map((_, i) => mean(losses.slice(i, i + LAST)));
  const [least, now] = [-greatest(means.map((m) => -m)), means.at(-1)!];
  const [most, rank] = [greatest(ranks), ranks.at(-1)!];
  if (now < least + WORSE_LOSS || rank > most * FEWER) return null;
  return {
    word: 'getting worse',
    kind: 'rising',
    level: 'alarm',
    trouble: 'diverging',
    text:
      `The loss rises again (${least.toFixed(2)} to ${now.toFixed(2)}) while the keys lose directions (effective rank ` +
      `${most.toFixed(1)} to ${rank.toFixed(1)}): a slow collapse looks like this.`,
    advice: steadier(config),
  };
}

const greatest = (values: readonly number[]) =>
  values.reduce((most, value) => (value > most ? value : most), -Infinity);

const cause = (why: string, todo: string, changes: Cause['changes']): Cause => ({ why, todo, changes });

/** Settings that are known to make training unsteady, with steadier values; the likeliest cause first. */
function unsteady({ momentum, views, contrast, optimizer, train }: ConMIMRunConfig): Cause[] {
  return [
    momentum.schedule === 'none'
      ? cause(
          'momentum.schedule is none, so the teacher is the student itself and nothing keeps its keys apart',
          'set momentum.schedule=cosine',
          { 'momentum.schedule': 'cosine' },
        )
      : momentum.start < 0.9
        ? cause(`momentum.start is ${momentum.start}, so the teacher follows fast`, 'set it to 0.99 or more', {
            'momentum.start': 0.99,
          })
        : null,
    views.teacher === 'same'
      ? cause('views.teacher is same, so both networks see the very same pixels', 'set it to strong', {
          'views.teacher': 'strong',
        })
      : null,
    temperature(contrast),
    optimizer.lr > 5e-3
      ? cause(`optimizer.lr is ${optimizer.lr}`, 'set it to 1e-3 or less', { 'optimizer.lr': 1e-3 })
      : null,
    optimizer.clip_grad === null
      ? cause('optimizer.clip_grad is null, so one batch can move all weights far', 'set it to 1', {
          'optimizer.clip_grad': 1,
        })
      : null,
    train.batch_size < 8
      ? cause(
          `train.batch_size is ${train.batch_size}, and BatchNorm takes its statistics of so few images`,
          'set it to 16 or more',
          { 'train.batch_size': 16 },
        )
      : null,
  ].filter((one) => one !== null);
}

/** At which all keys count alike, or one alone; null for one between. */
const temperature = ({ temperature: t }: ConMIMRunConfig['contrast']): Cause | null =>
  t > 0.5 || t < 0.02
    ? cause(
        `contrast.temperature is ${t}, at which ${t > 0.5 ? 'all keys count about the same' : 'one key counts alone'}`,
        'set it to 0.1',
        { 'contrast.temperature': 0.1 },
      )
    : null;

/** What to do about a collapse: the settings of this very run that lead to one, or those that are nearest to it. */
export function steadier(any: RunConfig): string {
  const config = ours(any);
  const causes = unsteady(config);
  if (causes.length > 0) return adviceOf(causes);
  const { momentum, optimizer } = config;
  const follows =
    momentum.start < 0.9999 ? `a teacher that follows more slowly (momentum.start above ${momentum.start}), ` : '';
  const view = config.views.teacher === 'strong' ? '' : ', or the strong teacher view (views.teacher=strong)';
  return `No setting of it stands out. Try ${follows}a lower optimizer.lr (now ${optimizer.lr})${view}.`;
}

/** Settings with which nothing is learned. */
function lifeless({ model, optimizer, contrast }: ConMIMRunConfig): Cause[] {
  const { lr } = optimizer;
  const livelierRate = { 'optimizer.lr': 1e-3 };
  return [
    contrast.temperature > 0.5 ? temperature(contrast) : null,
    lr > 5e-3 ? cause(`optimizer.lr is ${lr}`, 'set it to 1e-3 to 2e-3', livelierRate) : null,
    model.position === 'none'
      ? cause('model.position is none, so no patch knows its place', 'set it to absolute', {
          'model.position': 'absolute',
        })
      : null,
    model.position === 'shared-relative-bias'
      ? cause('model.position is shared-relative-bias, which starts at zero', 'with few images set it to absolute', {
          'model.position': 'absolute',
        })
      : null,
    lr < 5e-4 ? cause(`optimizer.lr is ${lr}`, 'set it to 1e-3 to 2e-3', livelierRate) : null,
  ].filter((one) => one !== null);
}

/** What to do where nothing is learned. */
export function livelier(config: RunConfig): string {
  const { optimizer, train } = config;
  const causes = lifeless(ours(config));
  if (causes.length > 0) return adviceOf(causes);
  const steps = train.steps === null ? 'train.epochs' : 'train.steps';
  return `No setting of it stands out. Try more steps (${steps}), or another peak rate (optimizer.lr, now ${optimizer.lr}).`;
}

/** Settings with which place is enough. */
function placeful({ augment, mask }: ConMIMRunConfig): Cause[] {
  const [, most] = augment.crop_scale;
  const now = augment.crop_scale.join(' to ');
  return [
    most > 0.3
      ? cause(`augment.crop_scale is ${now}, so that crops are framed much alike`, 'set it to 0.05 to 0.2', {
          'augment.crop_scale': [0.05, 0.2],
        })
      : cause(`mask.ratio is ${mask.ratio}, so that little is seen of what is around`, 'set it to 0.5', {
          'mask.ratio': 0.5,
        }),
  ];
}

/** What makes content worth more than position. */
export function contentful(config: RunConfig): string {
  const { augment, views, mask } = ours(config);
  const [, most] = augment.crop_scale;
  const crops =
    most > 0.3
      ? `smaller crops (augment.crop_scale, now ${augment.crop_scale.join(' to ')}; for example 0.05 to 0.2)`
      : `fewer masked patches (mask.ratio, now ${mask.ratio})`;
  const view = views.teacher === 'strong' ? ', or a gentler teacher view (views.teacher=weak)' : '';
  return `What shows more content: ${crops}, more steps${view}.`;
}

function causes(trouble: Trouble, any: RunConfig): readonly Cause[] {
  const config = ours(any);
  if (trouble === 'not-started') return lifeless(config);
  // Where what is unsteady stands out, it comes before crops.
  const isOfFeatures = trouble === 'places' || trouble === 'no-gain';
  return [...unsteady(config), ...(isOfFeatures ? placeful(config) : [])];
}

/** What a step of ConMIM says, and what it is held against. */
export const account: Account = {
  figures,
  charts,
  chance,
  alarm,
  notes,
  causes,
  health: 'Effective rank, dead dimensions, uniformity, alignment and position short cut',
};
