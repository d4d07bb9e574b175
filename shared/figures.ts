import type { RunConfig } from './config.ts';
import type { Account, Cause, Chance, Chart, Figure, LastSteps, Recipe, Sign } from './method.ts';
import type { Metric } from './run.ts';
import { NONE, percent } from './words.ts';

/** The part of a method's description that runs are read by. */
export type Description = Pick<Recipe, 'name' | 'title' | 'hasTeacher' | 'peakAfterWarmup'> & Account;

/** What a curve can be of: what every step has, or a figure of its method. */
export type Measure = Exclude<keyof Metric, 'figures'> | (string & {});

/** Of a step, by name: what every step has, or a figure of its method; null where it was not measured, or is no number. */
export function figureOf(metric: Metric, key: Measure): number | null {
  const value =
    key in metric && key !== 'figures' ? metric[key as Exclude<keyof Metric, 'figures'>] : metric.figures[key];
  return typeof value === 'number' && !Number.isNaN(value) ? value : null;
}

/** A step with its figures beside the rest, as files and `--json` have them. @param figures those that are null where they are missing */
export function flat(metric: Metric | null, figures: readonly Figure[] = []): Record<string, number | null> | null {
  if (metric === null) return null;
  const { figures: measured, ...rest } = metric;
  return { ...Object.fromEntries(figures.map(({ key }) => [key, null])), ...measured, ...rest };
}

/** A figure as a person reads it. */
export function figureWords({ scale }: Pick<Figure, 'scale'>, value: number | null | undefined): string {
  if (scale === 'share') return percent(value);
  return value === null || value === undefined || Number.isNaN(value) ? NONE : String(Number(value.toPrecision(3)));
}

/** Figures that lists and tables of runs have columns for. */
export const mainFigures = ({ figures }: Pick<Description, 'figures'>) => figures.filter(({ isMain }) => isMain);

/** Keys of the figures that are measured at few steps. */
export const seldomMeasured = (charts: readonly Chart[]): string[] =>
  charts.flatMap(({ isSparse, lines }) => (isSparse ? lines.map(({ key }) => key) : []));

/** The loss that guessing gives, as a line in a chart. */
export const guessedLoss = ({ loss, words }: Chance) => [
  { label: `${words} = ${loss.toFixed(2)}, guessing`, value: loss },
];

/** A loss that is a cross-entropy, beside that of guessing. */
export const entropyChart: Chart = {
  title: 'Loss',
  unit: 'nats',
  mayBeLog: true,
  lines: [{ key: 'loss', label: 'loss', colour: 0 }],
  references: guessedLoss,
};

/** A share as a line in a chart: it may be far below a per cent. */
export const shareLine = (words: string, share: number) => ({
  label: `${words} ${(100 * share).toPrecision(2)} %`,
  value: share,
});

/** What guessing gives of a share, as a line in its chart. @param key of the figure */
export const chanceOfShare =
  (key: string) =>
  ({ figures }: Chance) => [shareLine('chance', figures[key]!)];

/** The mean of what is known of a figure, or of the loss; NaN where nothing is, with which no comparison holds. */
export function meanOf(metrics: readonly Metric[], key: Measure): number {
  const known = metrics.map((metric) => figureOf(metric, key)).filter((value) => value !== null);
  return known.reduce((sum, value) => sum + value, 0) / known.length;
}

/** That all images, or all codes, have become one. */
export const collapsed = (text: string, advice: string): Sign => ({
  word: 'collapsed',
  kind: 'collapsed',
  level: 'alarm',
  trouble: 'collapsed',
  text,
  advice,
});

/** That a loss stays at what guessing gives. */
export const notLearning = (text: string, advice: string): Sign => ({
  word: 'not learning',
  kind: 'not-learning',
  level: 'alarm',
  trouble: 'not-started',
  text,
  advice,
});

/** What leads to a trouble, as advice; empty where no setting stands out. */
export const adviceOf = (causes: readonly Cause[]): string =>
  causes.length === 0
    ? ''
    : `${causes.length === 1 ? 'The likely cause' : 'Likely causes'}: ${causes
        .map(({ why, todo }) => (todo === '' ? why : `${why}: ${todo}`))
        .join('; ')}. Then train it anew.`;

/** By how much a rate may differ from the published one before it is called the cause. */
const FAR = 8;

/** That a run's peak rate is far from the one that `peakRate` names. @param whose it is: "published" */
export function rateCauses(config: RunConfig, whose: string): Cause[] {
  const { lr } = config.optimizer;
  // Small batches are trained at higher rates than the rule gives: a thousandth is far from none.
  const [least, most] = [publishedRate(config) / FAR, Math.max(publishedRate(config) * FAR, 5e-3)];
  if (lr >= least && lr <= most) return [];
  const better = Math.max(publishedRate(config), 5e-4);
  return [
    {
      why: `optimizer.lr is ${lr}, far from ${whose} rates`,
      todo: `set it to ${better}`,
      changes: {
        'optimizer.lr': better,
        ...(config.optimizer.min_lr > better && { 'optimizer.min_lr': better / 100 }),
      },
    },
  ];
}

const publishedRate = ({ train }: RunConfig): number =>
  Number(((1.5e-4 * train.batch_size * train.accumulation) / 256).toPrecision(2));

/**
 * A run's peak rate beside the one that is published for ViTs (arXiv 2104.02057; arXiv 2111.06377): 1.5e-4 for every 256 images
 * of a step. @param whose it is: "published"
 */
export function peakRate(config: RunConfig, whose: string): string {
  const { lr } = config.optimizer;
  return `optimizer.lr, now ${lr}; ${whose}: 1.5e-4 for every 256 images of a step, here ${publishedRate(config)}`;
}

/**
 * Mean cosines of two features above which they are those of a network that tells nothing apart. Two values, for where all is
 * well features start at different ones.
 */
export const HIGH_COSINE = {
  /** Behind a BatchNorm, which spreads whatever it is given: they start near 0. */
  spread: 0.9,
  /** Before a head, and behind one without BatchNorm: they start at 0.3 to 0.9. */
  unspread: 0.99,
} as const;

/** Share of the loss of guessing above which a network does no better than that. */
export const AS_GUESSED = 0.99;

/** Share of the entropy of an even distribution above which one is as good as even. */
export const AS_EVEN = 0.98;

/** Steps at the end of a run that it is judged by. */
export const LAST_STEPS = 10;
/** Steps by which it is told whether a loss still falls. */
export const TREND_STEPS = 60;

/** Whether the loss falls over these steps by more than it varies from one to the next. */
export function isFalling(metrics: readonly Metric[]): boolean {
  const losses = metrics.slice(-TREND_STEPS).map(({ loss }) => loss);
  const half = Math.floor(losses.length / 2);
  if (half < 2) return false;
  const [before, after] = [momentsOf(losses.slice(0, half)), momentsOf(losses.slice(-half))];
  return before.mean - after.mean > 2 * Math.sqrt((before.variance + after.variance) / half);
}

function momentsOf(values: readonly number[]) {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return { mean, variance: values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (values.length - 1) };
}

/** The part of a curve that an alarm looks at. */
export function lastStepsOf(metrics: readonly Metric[], charts: readonly Chart[]): LastSteps {
  const keys = seldomMeasured(charts);
  const measured = metrics.findLast((metric) => keys.some((key) => figureOf(metric, key) !== null));
  return { metrics: metrics.slice(-TREND_STEPS), measured: measured ?? null };
}

/** A column for a figure, in a table of runs of several methods. */
export interface FigureColumn extends Figure {
  /** Key of the column: the figure's own, after the method's name where another method means something else by it. */
  column: string;
  /** Methods that have it. */
  methods: string[];
}

/** Columns of a table of runs: main figures of the methods in it. Of one title they are one column. @param all every method, in an order that stays */
export function figureColumns(present: readonly Description[], all: readonly Description[]): FigureColumn[] {
  const columns: FigureColumn[] = [];
  for (const method of all) {
    for (const figure of mainFigures(method)) {
      const same = columns.find(({ key, title }) => key === figure.key && title === figure.title);
      if (same) same.methods.push(method.name);
      else {
        const isTaken = columns.some(({ column }) => column === figure.key);
        const column = isTaken ? `${method.name}_${figure.key}` : figure.key;
        columns.push({ ...figure, column, methods: [method.name] });
      }
    }
  }
  return columns.filter(({ methods }) => present.some(({ name }) => methods.includes(name)));
}
