import type { z } from 'zod';
import type { BudgetKey } from './budgets.ts';
import type { AugmentConfig, Refuse, RunConfig, RunConfigInput } from './config.ts';
import type { MaskShape } from './masking.ts';
import type { Uniform } from './random.ts';
import type { Metric, Run } from './run.ts';

/**
 * What the house asks of a method's description (methods/NAME/method.ts). It is plain data and pure functions: no tensors.
 */
export interface Method extends Recipe, Account {}

/** How a method is chosen and configured, and what it makes of images. */
export interface Recipe {
  /** Name of its folder, and of `method.name` in a configuration. */
  name: string;
  title: string;
  paper: { title: string; arxiv: string; year: number };
  /** Under which a model card is found, beside those of every method. */
  tags: readonly string[];
  /** For a person who chooses: what it learns from, and what it is good for; a sentence or two. */
  about: string;
  /** Sections of the configuration that a run of this method has beside the common ones; each fills itself with defaults. */
  sections: Readonly<Record<string, z.ZodType>>;
  /** What its sections are called. */
  titles: Readonly<Record<string, string>>;
  /** Over the defaults of the common sections. */
  defaults: RunConfigInput;
  /** Common settings that do nothing here, or that have one possible value: windows do not show them. Dotted keys. */
  fixed: readonly string[];
  /** What no single field can say. @param refuse the path of the field at fault, and what is wrong with it */
  check(config: RunConfig, refuse: Refuse): void;
  /** How a field is shown, by dotted key: those of `sections`, and common ones that are otherwise here. */
  fields: Readonly<Record<string, FieldMeta>>;
  presets: readonly Preset[];
  /** The preset that a newcomer gets. */
  defaultPreset: string;
  /** A command of its own, which trains that preset; missing for `pretrain` alone. */
  command?: { name: string; description: string };
  /** What the loader makes of an image. */
  views(config: RunConfig): readonly ViewSpec[];
  /** Which patches of an image are hidden, `[K]`, 1 = hidden; null where nothing is. */
  mask: ((config: RunConfig, shape: MaskShape, random: Uniform) => Uint8Array) | null;
  /**
   * What follows from settings otherwise than they say. @param masked patches that a mask of theirs hides @param images that a
   * run trains on
   */
  notices(config: RunConfig, masked: number, images?: number): string[];
  /** Whether a moving average of the student is trained beside it. */
  hasTeacher: boolean;
  /** Whether the step after the warm-up is the first at the peak rate, and not the warm-up's last. */
  peakAfterWarmup?: boolean;
  /** Whether hidden patches are left out of the encoder; else a token stands for each. */
  removesHidden: boolean;
  /** Ablations that are suggested: a setting, and its values as they are typed. */
  ablations: readonly Ablation[];
  /** Screens of Explore that only this method has, by the names of their components. */
  explains: readonly Explanation[];
  /** Networks of other runs that one of this method takes over when it begins; missing for none. */
  borrows?(config: RunConfig): readonly Borrowing[];
  /** Look-ups of masked patches, which lookups.ts of the folder answers; null where it cannot be asked for any. */
  lookups: LookupSpec | null;
  /** What files of its published code are like; null where there are none. */
  published: PublishedFiles | null;
}

/** What is said of published files to a person; published.ts of the method's folder reads and writes them. */
export interface PublishedFiles {
  /** Whose they are, where they are found. */
  code: string;
  /** By what such a file is known, as the end of "It has …". */
  knownBy: string;
  /** Settings that the shapes of tensors may not say. */
  unsaid: readonly { key: string; label: string }[];
}

/**
 * A network of another run that a run takes over when it begins. From then on it stands in the run's own checkpoints, and
 * nothing depends on the other run.
 */
export interface Borrowing {
  /** Setting with the number of the run that lends, dotted; null there is the newest that can. */
  key: string;
  /** What it is called: `tokenizer`. */
  what: string;
  /** Before the names of its tensors in the run's own network. */
  prefix: string;
  /** Why a run cannot lend, as a sentence; null where it can. */
  refuses(lender: RunConfig): string | null;
  /** Settings that follow from the lender's, dotted. */
  takes(lender: RunConfig): Readonly<Record<string, unknown>>;
  /** By which command one is made that can lend, on a dataset. */
  make: {
    command: string;
    options: string;
    /** What it is made of where nobody makes one: a preset, and settings over it, dotted. */
    preset: string;
    changes: Readonly<Record<string, unknown>>;
  };
}

/** Whether a run can lend a network, when it is trained if not yet. */
export const canLend = (one: Borrowing, { kind, status, config }: Pick<Run, 'kind' | 'status' | 'config'>): boolean =>
  kind === 'pretrain' && status !== 'failed' && one.refuses(config) === null;

/** What a method says of its runs. */
export interface Account {
  /** What a step says of itself beside its loss. */
  figures: readonly Figure[];
  /** Charts of a run beside those of every run (gradient, rates, speed); the first has the loss. */
  charts: readonly Chart[];
  /** What a network gives that has learned nothing. */
  chance(config: RunConfig, options?: ChanceOptions): Chance;
  /** What goes wrong with a run, by its last steps; null where nothing does, or it is too early to say. */
  alarm(last: LastSteps, config: RunConfig): Sign | null;
  /** What a whole curve tells beside that. */
  notes(metrics: readonly Metric[], config: RunConfig): Sign[];
  /** Settings of a run that lead to a trouble, with better ones; the likeliest first. None where no setting stands out. */
  causes(trouble: Trouble, config: RunConfig): readonly Cause[];
  /** Why features of images are not what a run is for, so that they are no measure of it; missing where they are. */
  isNotForFeatures?: string;
  /**
   * What a health report looks at, which health.ts of the folder measures and judges, for who chooses whether to make one.
   * Missing where that is no more than is looked at of every method: how images are told apart.
   */
  health?: string;
}

/** What follows from a setting, before anything is trained. */
export type Affected = 'speed' | 'memory' | 'views';

/** How a setting is shown. */
export interface FieldMeta {
  /** Of a choice: those that this method has, where it has not all. */
  choices?: readonly string[];
  /** Where its name in words is not what people say. */
  label?: string;
  /** A slider's reach: narrower than what is valid, where most of that is never wanted. */
  slider?: SliderSpec;
  /** What it takes when its "none" is taken back. */
  fallback?: number;
  /** Whether another value is another speed, another need of memory, another picture of the views. */
  affects?: readonly Affected[];
}

export interface SliderSpec {
  min: number;
  max: number;
  step: number;
  log?: boolean;
}

/** Values of a recipe, with a name: where they come from, what they are for, what they cost. */
export interface Preset {
  name: string;
  title: string;
  /** Paper, command or experiment that the values come from. */
  source: string;
  /** For which machine and data. */
  meant_for: string;
  /** How long it took, and what came out, as it was measured; missing where nobody measured it here. */
  expected?: string;
  /** How much time it is suggested for, and why, as a sentence: by what was measured (docs/small-data.md). Missing for most. */
  serves?: { budgets: readonly BudgetKey[]; why: string };
  config: RunConfigInput;
}

/** One picture that is made of an image. */
export interface ViewSpec {
  /** Key of the batch's pixels, and purpose of its draws. */
  name: string;
  /** As a person reads it: "student", "first crop". */
  title: string;
  /** Side, pixels. */
  side: number;
  /** Crop and flip are drawn under this purpose: views of one geometry show the same place. */
  geometry: string;
  /**
   * What is drawn otherwise for this view than the run's `augment` has it: another crop, a blur that is always there. Crop
   * and flip are those of the first view of a geometry.
   */
  augment?: Partial<Omit<AugmentConfig, 'interpolation' | 'solarize_threshold' | 'mean' | 'std'>>;
  /** By which its crop is brought to its side, where that is not the run's. */
  interpolation?: AugmentConfig['interpolation'];
  /**
   * Colours drawn under its own name, none, or the very pixels of another view. `whole`: drawn under this purpose, for the
   * whole image before it is cropped; views of one purpose have the same.
   */
  colours: 'strong' | 'weak' | { same: string } | { whole: string };
  /** Whether the mask hides patches of it. */
  isMasked: boolean;
}

/** A number that a step says, in `Metric.figures`. */
export interface Figure {
  key: string;
  title: string;
  /** `share`: between 0 and 1, shown as per cent. */
  scale: 'share' | 'plain';
  unit: string;
  /** Whether lists and tables of runs have a column for it. */
  isMain: boolean;
  /** What it is, in a sentence. */
  about: string;
}

export interface Chart {
  title: string;
  unit: string;
  lines: readonly ChartLine[];
  /** Values that lines are held against: what guessing gives, for example. Of the unit that is stored. */
  references?(chance: Chance, config: RunConfig): { label: string; value: number }[];
  /** From 0 to 100 per cent. */
  isShare?: boolean;
  /** Whether it may have a logarithmic axis. */
  mayBeLog?: boolean;
  /** Few values, which smoothing would only blur. */
  isSparse?: boolean;
}

export interface ChartLine {
  /** `loss`, or a figure's key. */
  key: string;
  label: string;
  /** Place in the palette, and dashes. */
  colour: number;
  dash?: number;
}

export interface ChanceOptions {
  /** Images that are asked at once, where that is not the micro-batch of training. */
  batch?: number;
  /** Classes of a fine-tuning. */
  classes?: number;
}

export interface Chance {
  loss: number;
  /** Where that loss comes from: `ln K`, `predicting nothing`. */
  words: string;
  /** By figure: what guessing gives. Missing where guessing means nothing. */
  figures: Readonly<Record<string, number>>;
}

/** What can be wrong with a run: as its verdict calls it. */
export type Trouble = 'places' | 'not-started' | 'collapsed' | 'diverging' | 'no-gain';

/** A setting that leads to a trouble, and what it should be. */
export interface Cause {
  /** As in "momentum.schedule is none, so the teacher is the student itself". */
  why: string;
  /** As behind a colon: "set momentum.schedule=cosine". */
  todo: string;
  /** The same for a program: values by dotted key. */
  changes: Readonly<Record<string, unknown>>;
}

/** What goes wrong with a run, or is worth knowing: the same in its window, in the list of runs and in its health report. */
export interface Sign {
  /** In a word or two, where there is room for no more. */
  word: string;
  kind: string;
  /** `alarm`: it is going wrong; `note`: worth knowing. */
  level: 'alarm' | 'note';
  text: string;
  advice: string;
  /** What a verdict makes of it; missing where that is nothing. */
  trouble?: Trouble;
}

/** What a run's last steps are judged by. */
export interface LastSteps {
  /** The last ten, or more; in order. */
  metrics: readonly Metric[];
  /** The last one at which the figures that are measured seldom were measured; null where none was. */
  measured: Metric | null;
}

export interface Ablation {
  title: string;
  key: string;
  /** Values, with commas between. */
  values: string;
}

/** Screens of Explore that every method has, by what the address calls them. */
export const COMMON_VIEWS = ['alike', 'retrieve', 'time', 'colours', 'attention', 'map'] as const;
export type CommonView = (typeof COMMON_VIEWS)[number];

/** A screen of Explore that only some methods have. */
export interface Explanation {
  /** In the address: none of `COMMON_VIEWS`. */
  key: string;
  title: string;
  /** Its component, in the method's folder: `LookUps` is LookUps.svelte. */
  view: string;
  /** What explain.ts of the folder gives of one image; null for a screen that asks other channels. */
  answer: ExplanationAnswer | null;
  /** What `assign` of explain.ts sorts many images, or all of their patches, into; missing where there is none. */
  groups?: GroupsAnswer;
}

/** Prototypes, classes, codes: what images or patches are sorted into. */
export interface GroupsAnswer {
  of: 'images' | 'patches';
  /** What one is called. */
  one: string;
  /** And several. */
  many: string;
  /** What says how much a row belongs to one: `cosine`. */
  value: string;
}

/** The pictures, maps of patches, and figures of an answer, in the order in which they are shown. */
export interface ExplanationAnswer {
  /** Images that are asked at once, in all views of the run: the one, and others of its dataset. Left out where it is asked alone. */
  batch?: number;
  /** Numbers of pairs of such views: each view of `rows` of every image, with each of `columns`. */
  pairs?: readonly { key: string; title: string; rows: readonly string[]; columns: readonly string[] }[];
  pictures: readonly { key: string; title: string }[];
  maps: readonly { key: string; title: string; unit: string }[];
  figures: readonly { key: string; title: string; digits: number }[];
}

/** Look-ups of a method: where in its image is a patch that is not seen? */
export interface LookupSpec {
  /** Keys that each patch of a micro-batch is held against in training, with a logit for each. */
  keys(config: RunConfig): number;
  /** A component of the folder: the look-ups of a run's fixed images at every checkpoint. `Probes` is Probes.svelte. */
  strip: string;
}
