import type { RunConfig as AnyConfig, MomentumConfig } from './config.ts';
import { patchesOf } from './config.ts';
import { guessingOf, lossWords } from './guessing.ts';
import type { LookupConfig } from './method.ts';
import type { Metric, Run } from './run.ts';
import { percent } from './words.ts';

/** What goes wrong with a run, or is worth knowing: the same in its window, in the list of runs and in its health report. */
export interface Sign {
  kind: 'collapsed' | 'worse-than-guessing' | 'not-learning' | 'rising' | 'forgets-position' | 'position-alone';
  /** `alarm`: it is going wrong; `note`: worth knowing. */
  level: 'alarm' | 'note';
  text: string;
  advice: string;
}
/** Signs in a word, where there is room for one. */
export const SIGN_WORDS: Record<Sign['kind'], string> = {
  collapsed: 'collapsed',
  'worse-than-guessing': 'worse than guessing',
  'not-learning': 'not learning',
  rising: 'getting worse',
  'forgets-position': 'forgets position',
  'position-alone': 'position alone',
};

/** Of a method that has look-ups. */
type RunConfig = AnyConfig & LookupConfig & { momentum: MomentumConfig; views: { teacher: string } };
const hasLookups = (config: AnyConfig): config is RunConfig => 'contrast' in config;

type Judged = Pick<Run, 'config'> & { finetune: Run['finetune'] };

/** Share of the directions that keys use at least; and how many, whatever their width. */
const [LOW_RANK, LEAST_RANK] = [0.05, 2];
export const HIGH_COSINE = 0.9;
/** Share of the loss of guessing above which a loss is worse than guessing: batches vary. */
const ABOVE = 1.02;
/** Points at the end of a curve that are averaged. */
const LAST = 10;
/** Steps that a run gets before a warning that it does not learn. */
const PATIENCE = 300;

const isNumber = (value: number | null | undefined): value is number => typeof value === 'number';
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** Fewer directions than these are a collapse. @param rows keys that were looked at */
export const leastRank = (width: number, rows: number) => Math.max(LEAST_RANK, LOW_RANK * Math.min(width, rows));

/** The rule for a collapse of keys, with what it says; null where they have not collapsed. */
export function collapseOf(keys: { rank: number; cosine: number; width: number; rows: number }): string | null {
  const least = leastRank(keys.width, keys.rows);
  if (keys.rank < least)
    return `they use ${keys.rank.toFixed(2)} of ${keys.width} directions (fewer than ${least.toFixed(2)} are a collapse)`;
  if (keys.cosine > HIGH_COSINE)
    return `two of them have a mean cosine of ${keys.cosine.toFixed(2)} (above ${HIGH_COSINE} all patches look alike)`;
  return null;
}

/** What a run's last steps are judged by. */
export interface LastSteps {
  /** The last ten, or more; in order. */
  metrics: readonly Metric[];
  /** Rank and mean cosine of the keys, as measured last. */
  keys: { step: number; rank: number; cosine: number } | null;
}

/** The part of a curve that `alarmOf` looks at. */
export function lastStepsOf(metrics: readonly Metric[]): LastSteps {
  const seen = metrics.findLast(({ figures }) => isNumber(figures.rank_teacher) && isNumber(figures.cosine_teacher));
  const keys = seen
    ? { step: seen.step, rank: seen.figures.rank_teacher!, cosine: seen.figures.cosine_teacher! }
    : null;
  return { metrics: metrics.slice(-LAST), keys };
}

/** What is going wrong with a pretraining now, by its last steps; null where nothing is, or it is too early to say. */
export function alarmOf({ metrics, keys }: LastSteps, run: Judged): Sign | null {
  const { config, finetune } = run;
  const last = metrics.slice(-LAST);
  if (finetune || last.length < LAST || !hasLookups(config)) return null;
  const width = config.projector.out;
  const rows = patchesOf(config.model) * config.train.batch_size;
  // The first step's keys are those of a network that has learned nothing: it cannot have collapsed.
  const collapse = keys && keys.step > 1 ? collapseOf({ rank: keys.rank, cosine: keys.cosine, width, rows }) : null;
  if (collapse)
    return {
      kind: 'collapsed',
      level: 'alarm',
      text: `The teacher's keys have collapsed: ${collapse}. Look-ups among such keys say little.`,
      advice: steadier(config),
    };
  const guessing = guessingOf(run);
  const loss = mean(last.map((m) => m.loss));
  const uniform = `${lossWords(guessing)} (${guessing.loss.toFixed(2)})`;
  if (loss > guessing.loss * ABOVE)
    return {
      kind: 'worse-than-guessing',
      level: 'alarm',
      text: `The loss (${loss.toFixed(2)}) is above ${uniform}: look-ups are worse than guessing, which a collapse begins with.`,
      advice: steadier(config),
    };
  if (loss > guessing.loss * 0.99 && last.at(-1)!.step > PATIENCE)
    return {
      kind: 'not-learning',
      level: 'alarm',
      text: `The loss stays at ${uniform}: nothing is learned yet.`,
      advice: livelier(config),
    };
  return null;
}

/** What a whole curve tells beside that; nothing where something is wrong by the last steps. */
export function notesOf(metrics: readonly Metric[], run: Judged): Sign[] {
  const { config } = run;
  if (run.finetune || !hasLookups(config) || alarmOf(lastStepsOf(metrics), run)) return [];
  const controls = metrics.flatMap(({ figures: { top1_control: c, top1: t } }) =>
    isNumber(c) && isNumber(t) ? [{ c, gap: t - c }] : [],
  );
  const ranks = metrics.flatMap(({ figures: { rank_teacher: rank }, step }) =>
    isNumber(rank) && step !== 1 ? [rank] : [],
  );
  // Where the dictionary is the batch, look-ups are among more keys than their control: the two cannot be subtracted.
  const isComparable = config.contrast.dictionary === 'image';
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
    if (gap < 0.02 && control > 3 / patchesOf(config.model))
      return [
        {
          kind: 'position-alone',
          level: 'note',
          text: `Look-ups are no better than with another image's keys: so far position alone is learned.`,
          advice: contentful(config),
        },
      ];
  }
  return [];
}

/** Nats, and share of directions, by which a run has to get worse before that is said. */
const [WORSE_LOSS, FEWER] = [0.3, 0.75];

/** A loss that rises again while keys lose directions: what a slow collapse looks like. */
function risingOf(metrics: readonly Metric[], ranks: readonly number[], config: RunConfig): Sign | null {
  const losses = metrics.map((m) => m.loss).filter(Number.isFinite);
  if (losses.length < 3 * LAST || ranks.length < 2) return null;
  const means = losses.slice(LAST - 1).map((_, i) => mean(losses.slice(i, i + LAST)));
  const [least, now] = [-greatest(means.map((m) => -m)), means.at(-1)!];
  const [most, rank] = [greatest(ranks), ranks.at(-1)!];
  if (now < least + WORSE_LOSS || rank > most * FEWER) return null;
  return {
    kind: 'rising',
    level: 'alarm',
    text:
      `The loss rises again (${least.toFixed(2)} to ${now.toFixed(2)}) while the keys lose directions (effective rank ` +
      `${most.toFixed(1)} to ${rank.toFixed(1)}): a slow collapse looks like this.`,
    advice: steadier(config),
  };
}

const greatest = (values: readonly number[]) =>
  values.reduce((most, value) => (value > most ? value : most), -Infinity);

/** Settings that are known to make training unsteady, with steadier values; the likeliest cause first. */
function unsteady({ momentum, views, contrast, optimizer, train }: RunConfig): string[] {
  return [
    momentum.schedule === 'none'
      ? 'momentum.schedule is none, so the teacher is the student itself and nothing keeps its keys apart: set momentum.schedule=cosine'
      : momentum.start < 0.9
        ? `momentum.start is ${momentum.start}, so the teacher follows fast: set it to 0.99 or more`
        : null,
    views.teacher === 'same'
      ? 'views.teacher is same, so both networks see the very same pixels: set it to strong'
      : null,
    contrast.temperature > 0.5
      ? `contrast.temperature is ${contrast.temperature}, at which all keys count about the same: set it to 0.1`
      : contrast.temperature < 0.02
        ? `contrast.temperature is ${contrast.temperature}, at which one key counts alone: set it to 0.1`
        : null,
    optimizer.lr > 5e-3 ? `optimizer.lr is ${optimizer.lr}: set it to 1e-3 or less` : null,
    optimizer.clip_grad === null
      ? 'optimizer.clip_grad is null, so one batch can move all weights far: set it to 1'
      : null,
    train.batch_size < 8
      ? `train.batch_size is ${train.batch_size}, and BatchNorm takes its statistics of so few images: set it to 16 or more`
      : null,
  ].filter((one) => one !== null);
}

const asAdvice = (causes: readonly string[]) =>
  `${causes.length === 1 ? 'The likely cause' : 'Likely causes'}: ${causes.join('; ')}. Then train it anew.`;

/** What to do about a collapse: the settings of this very run that lead to one, or those that are nearest to it. */
export function steadier(any: AnyConfig): string {
  const config = any as RunConfig;
  const causes = unsteady(config);
  if (causes.length > 0) return asAdvice(causes);
  const { momentum, optimizer } = config;
  const follows =
    momentum.start < 0.9999 ? `a teacher that follows more slowly (momentum.start above ${momentum.start}), ` : '';
  const view = config.views.teacher === 'strong' ? '' : ', or the strong teacher view (views.teacher=strong)';
  return `No setting of it stands out. Try ${follows}a lower optimizer.lr (now ${optimizer.lr})${view}.`;
}

/** What to do where nothing is learned. */
export function livelier(any: AnyConfig): string {
  const config = any as RunConfig;
  const { model, optimizer, contrast, train } = config;
  const causes = [
    contrast.temperature > 0.5
      ? `contrast.temperature is ${contrast.temperature}, at which all keys count about the same: set it to 0.1`
      : null,
    optimizer.lr > 5e-3 ? `optimizer.lr is ${optimizer.lr}: set it to 1e-3 to 2e-3` : null,
    model.position === 'none' ? 'model.position is none, so no patch knows its place: set it to absolute' : null,
    model.position === 'shared-relative-bias'
      ? 'model.position is shared-relative-bias, which starts at zero: with few images set it to absolute'
      : null,
    optimizer.lr < 5e-4 ? `optimizer.lr is ${optimizer.lr}: set it to 1e-3 to 2e-3` : null,
  ].filter((one) => one !== null);
  if (causes.length > 0) return asAdvice(causes);
  const steps = train.steps === null ? 'train.epochs' : 'train.steps';
  return `No setting of it stands out. Try more steps (${steps}), or another peak rate (optimizer.lr, now ${optimizer.lr}).`;
}

/** What makes content worth more than position. */
export function contentful(config: AnyConfig): string {
  const { augment, views, mask } = config as RunConfig;
  const [, most] = augment.crop_scale;
  const crops =
    most > 0.3
      ? `smaller crops (augment.crop_scale, now ${augment.crop_scale.join(' to ')}; for example 0.05 to 0.2)`
      : `fewer masked patches (mask.ratio, now ${mask.ratio})`;
  const view = views.teacher === 'strong' ? ', or a gentler teacher view (views.teacher=weak)' : '';
  return `What shows more content: ${crops}, more steps${view}.`;
}
