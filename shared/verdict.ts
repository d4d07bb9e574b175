import type { RunConfig } from './config.ts';
import type { FeatureMeasure } from './feature-measures.ts';
import { lastStepsOf } from './figures.ts';
import type { Account, Cause, Chance, Sign, Trouble } from './method.ts';
import type { Metric, RunStatus } from './run.ts';
import { count, percent } from './words.ts';

/**
 * What is to be said of a run in a sentence: whether it learned something that is of use, or what is wrong and what to
 * press. It rests on what features are worth beside those of the untrained network; curves alone flatter.
 */

export type VerdictKind = 'early' | 'unknown' | 'learns' | 'plateau' | Trouble;

/** A figure with what it is held against. */
export interface Evidence {
  title: string;
  value: string;
  /** Of the untrained network, or of guessing; empty for none. */
  beside: string;
}

export interface Verdict {
  kind: VerdictKind;
  level: 'good' | 'note' | 'warn' | 'bad';
  /** For a column. */
  word: string;
  sentence: string;
  figures: Evidence[];
  /** Settings that lead there, and what they should be, in words; empty where none stands out. */
  cause: string;
  /** Settings of a better run, and what its button says; null where nobody knows one. */
  better: { label: string; changes: Record<string, unknown> } | null;
  /** That it could stop; empty while it still gains, and where it has ended. */
  stop: string;
}

/** What a list needs of it. */
export type Health = Pick<Verdict, 'kind' | 'level' | 'word' | 'sentence'>;

const WORDS: Record<VerdictKind, readonly [word: string, level: Verdict['level']]> = {
  early: ['too early', 'note'],
  unknown: ['not known', 'note'],
  learns: ['learns', 'good'],
  plateau: ['no longer improves', 'note'],
  places: ['places, not content', 'warn'],
  'no-gain': ['no better than untrained', 'warn'],
  'not-started': ['has not started', 'warn'],
  collapsed: ['collapsed', 'bad'],
  diverging: ['diverging', 'bad'],
};

export interface Judged {
  config: RunConfig;
  status: RunStatus;
  step: number;
  total_steps: number;
  /** Kind of the error that ended it. */
  error: string | null;
  /** The curve, every step or fewer. */
  metrics: readonly Metric[];
  /** What the account says of the last steps, where it was asked before; else it is asked here. */
  alarm?: Sign | null;
  measures: readonly FeatureMeasure[];
}

/** Share of a run before which nothing is said of features that are no better yet: many methods begin slowly. */
const HALF = 0.5;
/** Steps that a run which trains gets at least before that: more than methods wait before an alarm of theirs. */
const LEAST_STEPS = 500;
/**
 * Steps, and share of those done, without a gain after which a run no longer improves; and measurements in them. Features may
 * wait while a loss falls, so that they get longer then.
 */
const IDLE = { steps: 500, share: 0.4, shareWhileFalling: 0.6, measures: 4 };
/** Steps with which a run of few is begun again. */
const ENOUGH = 1500;
/** Factors of RankMe that say something: between them it does not tell which network is better (docs/methods.md). */
const [RANK_GAIN, RANK_LOSS] = [1.1, 1 / 3];
/** Standard errors that a normal variable exceeds one time in twenty. */
const ONE_SIDED = 1.645;
const HAS_ENDED: ReadonlySet<RunStatus> = new Set(['finished', 'stopped', 'failed']);

/** What is said of a run. @param account its method's */
export function verdictOf(account: Account, run: Judged): Verdict {
  const guessing = account.chance(run.config);
  const figures = figuresOf(account, run, guessing);
  const say = (kind: VerdictKind, sentence: string, more: Partial<Verdict> = {}): Verdict => {
    const [word, level] = WORDS[kind];
    return { kind, level, word, sentence, figures, cause: '', better: null, stop: '', ...more };
  };
  const blame = (trouble: Trouble, sentence: string): Verdict => {
    const causes = account.causes(trouble, run.config);
    return say(trouble, sentence, {
      cause: causes.map(({ why, todo }) => `${why}: ${todo}`).join('; '),
      better: betterOf(causes, run, trouble),
    });
  };
  if (run.error === 'diverged')
    return blame(
      'diverging',
      `The loss or the gradient of step ${count(run.step + 1)} is no finite number: the run was ended.`,
    );
  const sign = signOf(account, run);
  const { measures } = run;
  const last = measures.at(-1);
  const gain = last && gainOf(last);
  // Place may be all that a curve shows, and features be better all the same: they count.
  const isWrong = sign?.trouble && sign.level === 'alarm' && !(sign.trouble === 'places' && gain === 'better');
  if (isWrong) return blame(sign.trouble!, sign.text);
  const features = last ? sentenceOf(last) : '';
  if (gain === 'better') {
    const idle = idleSince(run);
    const stop =
      idle === null || HAS_ENDED.has(run.status) ? '' : `It could stop: nothing gained since step ${count(idle)}.`;
    if (idle === null) return say('learns', `It learns. ${features}`);
    return say('plateau', `It learned, and no longer improves: nothing gained since step ${count(idle)}. ${features}`, {
      stop,
      better: { label: `Run again with ${count(rounded(idle))} steps`, changes: { 'train.steps': rounded(idle) } },
    });
  }
  const isLate = HAS_ENDED.has(run.status) || run.step >= Math.max(LEAST_STEPS, HALF * run.total_steps);
  if (!isLate) {
    const so = last && !account.isNotForFeatures ? ` ${features}` : '';
    return say('early', `Too early to say, after ${count(run.step)} of ${count(run.total_steps)} steps.${so}`);
  }
  if (account.isNotForFeatures) return say('learns', `${account.isNotForFeatures} ${lossSentence(run, guessing)}`);
  if (sign?.trouble === 'places')
    return blame('places', `Not useful yet. It knows where things are, not what they are. ${features || sign.text}`);
  if (gain === 'no better') return blame('no-gain', `Not useful yet. ${features}`);
  const known = features || 'What its features are worth was not measured.';
  return say(
    'unknown',
    `${known} ${lossSentence(run, guessing)} That alone says little: evaluate a checkpoint by classes.`,
  );
}

/** What the method itself says of its curve. */
function signOf(account: Account, { metrics, config, alarm }: Judged): Sign | null {
  const sign = alarm === undefined ? account.alarm(lastStepsOf(metrics, account.charts), config) : alarm;
  if (sign) return sign;
  const notes = account.notes(metrics, config).filter(({ trouble }) => trouble);
  return notes.find(({ level }) => level === 'alarm') ?? notes[0] ?? null;
}

/**
 * Whether features are better than those of the untrained network, beyond what as many images can tell: one in twenty that
 * are as good would seem so, as if the two had been asked other images. RankMe needs no classes, and often says neither.
 */
export function gainOf({ task, trained, untrained, images }: FeatureMeasure): 'better' | 'no better' | 'unknown' {
  if (task === 'rankme')
    return trained > RANK_GAIN * untrained ? 'better' : trained < RANK_LOSS * untrained ? 'no better' : 'unknown';
  const variance = (share: number) => (share * (1 - share)) / images;
  return trained - untrained > ONE_SIDED * Math.sqrt(variance(trained) + variance(untrained)) ? 'better' : 'no better';
}

/** The step since which nothing was gained; null while something is. */
export function idleSince({ measures, metrics, step }: Pick<Judged, 'measures' | 'metrics' | 'step'>): number | null {
  if (measures.length <= IDLE.measures) return null;
  const best = Math.max(...measures.map(({ trained }) => trained));
  const { task, images } = measures[0]!;
  // Half a standard error of a share near one half, or a fiftieth of a rank: less is no gain.
  const little = task === 'knn' ? 0.25 / Math.sqrt(images) : best / 50;
  const since = measures.findIndex(({ trained }) => trained >= best - little);
  const { step: from } = measures[since]!;
  if (step - from < IDLE.steps || measures.length - since <= IDLE.measures) return null;
  // What RankMe says of features is too little to stop a loss that falls.
  const whileFalling = task === 'knn' ? IDLE.shareWhileFalling : Number.POSITIVE_INFINITY;
  return step - from >= (isLossIdle(metrics, from) ? IDLE.share : whileFalling) * step ? from : null;
}

/** Whether a loss has come down by no more than a twentieth of its whole way since a step. */
function isLossIdle(metrics: readonly Metric[], from: number): boolean {
  const losses = metrics.filter(({ loss }) => Number.isFinite(loss));
  const after = losses.filter(({ step }) => step >= from);
  const part = Math.max(1, Math.floor(after.length / 4));
  const mean = (some: readonly Metric[]) => some.reduce((sum, { loss }) => sum + loss, 0) / some.length;
  if (after.length < 4) return false;
  const [first, then, now] = [mean(losses.slice(0, part)), mean(after.slice(0, part)), mean(after.slice(-part))];
  return then - now < 0.05 * Math.abs(first - Math.min(then, now));
}

/** One run with all that was named, and with enough steps where nothing is of use yet. */
function betterOf(causes: readonly Cause[], run: Judged, trouble: Trouble): Verdict['better'] {
  const changes = Object.assign({}, ...causes.map((one) => one.changes)) as Record<string, unknown>;
  const isShort = (trouble === 'places' || trouble === 'no-gain') && run.total_steps < ENOUGH;
  if (isShort) changes['train.steps'] = ENOUGH;
  const keys = Object.keys(changes);
  if (keys.length === 0) return null;
  const words = keys.map((key) => `${key} ${JSON.stringify(changes[key]).replaceAll('"', '')}`);
  return { label: `Run again with ${words.join(', ')}`, changes };
}

const rounded = (steps: number) => Math.max(1, Math.ceil(steps / 50) * 50);

function sentenceOf(measure: FeatureMeasure): string {
  const { task, trained, untrained, images } = measure;
  const gain = gainOf(measure);
  if (task === 'knn') {
    const than = gain === 'better' ? 'better' : 'no better';
    return (
      `Neighbours by its features are ${than} than by an untrained network's: of the same class for ${percent(trained)} of ` +
      `${count(images)} images, untrained ${percent(untrained)}.`
    );
  }
  const figures = `RankMe ${trained.toFixed(1)} on ${count(images)} images, untrained ${untrained.toFixed(1)}`;
  if (gain === 'unknown')
    return `Without classes it cannot be said whether its features are better than an untrained network's (${figures}).`;
  return `Its features use ${gain === 'better' ? 'more' : 'far fewer'} directions than an untrained network's: ${figures}.`;
}

function lossSentence({ metrics }: Judged, guessing: Chance): string {
  const { loss = Number.NaN } = metrics.at(-1) ?? {};
  const than = Number.isNaN(guessing.loss) ? '' : `, by guessing (${guessing.words}) ${guessing.loss.toFixed(2)}`;
  return `Its loss is ${loss.toFixed(2)}${than}.`;
}

/** The figures that it rests on. */
function figuresOf(account: Account, { metrics, measures }: Judged, guessing: Chance): Evidence[] {
  const last = metrics.at(-1);
  const measure = measures.at(-1);
  const figures: Evidence[] = [];
  if (measure) {
    const isKnn = measure.task === 'knn';
    const words = (value: number) => (isKnn ? percent(value) : value.toFixed(1));
    const chance = measure.chance === null ? '' : `, chance ${percent(measure.chance)}`;
    figures.push({
      title: `${isKnn ? 'k-NN' : 'RankMe'} at step ${count(measure.step)}, ${count(measure.images)} images`,
      value: words(measure.trained),
      beside: `untrained ${words(measure.untrained)}${chance}`,
    });
  }
  if (last && Number.isFinite(last.loss))
    figures.push({
      title: 'Loss',
      value: last.loss.toFixed(2),
      beside: Number.isNaN(guessing.loss) ? '' : `${guessing.words} ${guessing.loss.toFixed(2)}`,
    });
  for (const { key, title, scale } of account.figures.filter(({ isMain }) => isMain)) {
    const value = last?.figures[key];
    if (typeof value !== 'number') continue;
    const words = (v: number) => (scale === 'share' ? percent(v) : String(Number(v.toPrecision(3))));
    const guessed = guessing.figures[key];
    figures.push({ title, value: words(value), beside: guessed === undefined ? '' : `chance ${words(guessed)}` });
  }
  return figures;
}
