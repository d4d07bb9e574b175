import { z } from 'zod';
import { type BackendChoice, USES } from './backends.ts';
import { PREPARED_LIMITS, type RunConfig, type RunConfigInput } from './config.ts';
import type {
  Checkpoint,
  Dataset,
  Evaluation,
  ImageRow,
  Metric,
  Notice,
  RetrievalIndex,
  Run,
  RunStatus,
  SkipReason,
} from './domain.ts';
import { EVALUATION_TASKS } from './domain.ts';
import type { ErrorReport } from './errors.ts';
import type { Sign } from './health.ts';
import type { LeftOut } from './left-out.ts';
import { nameSchema, tagSchema } from './names.ts';
import type { Place } from './travel.ts';

/**
 * The contract between a window and the process behind it: every channel with what it takes (validated once, where it
 * arrives) and what it gives, and every event. Both sides are typed from this file. Every channel takes one object.
 * Times are milliseconds since 1970, sizes bytes.
 */

// ------------------------------------------------------------------------------------------------ what is sent

const id = z.number().int().positive();
const text = z.string().max(10_000);
const name = nameSchema;
/** The name of something that exists. Older names are accepted too: the rules for new ones are stricter. */
const known = z.string().min(1).max(10_000);
const path = z.string().min(1).max(4096);
/** Overwrites what has this name; without it that is refused, with `exists` in the error. */
const replace = z.boolean().default(false);
const nothing = z.strictObject({});
const byId = z.strictObject({ id });
/** Settings over a preset, by dotted key: `{ 'train.batch_size': 32 }`. Values are checked as a configuration. */
const changes = z.record(z.string().max(100), z.json());
const recipe = { preset: known, changes };
const part = z.enum(['student', 'teacher']);
/** A map is of one network's features: the mean of an image's patch tokens, or its CLS token. */
const mapOf = { checkpoint: id, dataset: id, part, untrained: z.boolean(), pool: z.enum(['mean', 'cls']) };

/** What a person writes about a run; what is not given stays. */
const annotation = {
  name: name.optional(),
  notes: text.optional(),
  tags: z.array(tagSchema).max(50).optional(),
};
/** The same, as it was before: older values need not meet today's rules. */
const annotated = {
  name: known.optional(),
  notes: text.optional(),
  tags: z.array(known).optional(),
};

/** What waits in the queue. */
const queueItem = z.strictObject({ kind: z.enum(['run', 'evaluation']), id });

/** Shorter side of prepared images, pixels. */
const preparedSide = z.number().int().min(PREPARED_LIMITS.min).max(PREPARED_LIMITS.max);

/** Which index: see `RetrievalSpec`. */
const retrieval = {
  checkpoint: id,
  dataset: id,
  part: z.enum(['student', 'teacher', 'untrained']),
  feature: z.string().max(20),
  max_images: z.number().int().min(0),
};

const voyage = {
  checkpoints: z.array(id).min(1).max(200),
  dataset: id,
  part: z.enum(['student', 'teacher']),
  feature: z.string().max(20),
  max_images: z.number().int().min(1).max(5000),
};

/** Declares a channel: `channel<Result>()(schema of the argument)`. */
const channel =
  <R>() =>
  <S extends z.ZodType>(input: S): { input: S; result?: R } => ({ input });

export const CHANNELS = {
  // the window itself
  'app.info': channel<AppInfo>()(nothing),
  /** Electron: the system's dialog. Browser: refused with `not-found`, and the window shows `folders.list`. */
  'folders.pick': channel<{ path: string | null }>()(nothing),
  /** Folders of the machine that this process runs on. No path: the home folder. */
  'folders.list': channel<FolderListing>()(z.strictObject({ path: path.nullable() })),

  // datasets
  'datasets.list': channel<DatasetRow[]>()(nothing),
  'datasets.get': channel<DatasetDetail>()(byId),
  'datasets.import': channel<TaskRef>()(
    z.strictObject({ name, folders: z.array(path).min(1).max(100), labels: z.enum(['none', 'folders']).optional() }),
  ),
  /** The photographs and drawings that come with the program. */
  'datasets.import-sample': channel<TaskRef>()(nothing),
  'datasets.rescan': channel<TaskRef>()(byId),
  /** A folder of a dataset has moved: its images are looked for where it is now, and its files looked at again. */
  'datasets.locate': channel<TaskRef>()(z.strictObject({ id, from: path, to: path })),
  /** Refused (`changed`) where the name is not `before` any more. */
  'datasets.rename': channel<Dataset>()(z.strictObject({ id, name, before: known.optional() })),
  /** Hidden at once, gone when the undo has run out. Refused where runs were trained on it. */
  'datasets.delete': channel<Undo>()(byId),
  /** What preparing would take; nothing is made. */
  'prepared.plan': channel<PreparePlan>()(z.strictObject({ dataset: id, size: preparedSide })),
  /** Keeps a dataset's images decoded and downsized, or goes on with it. */
  'prepared.start': channel<TaskRef>()(z.strictObject({ dataset: id, size: preparedSide })),
  /** Hidden at once, gone when the undo has run out, or when something is prepared. Refused while it is written. */
  'prepared.delete': channel<Undo>()(byId),
  'images.page': channel<ImagePage>()(
    z.strictObject({
      dataset: id,
      offset: z.number().int().min(0),
      limit: z.number().int().min(1).max(1000),
      status: z.enum(['ok', 'skipped', 'vanished']).nullable(),
      label: text.nullable(),
      reason: text.nullable(),
      /** Part of the path. */
      search: text,
      sort: z.enum(['path', 'bytes', 'pixels']),
      descending: z.boolean(),
    }),
  ),
  'images.get': channel<ImageDetail>()(byId),
  /** Shows the file in the file manager of this machine; `shown` is false where that is not possible (browser). */
  'images.reveal': channel<{ path: string; shown: boolean }>()(byId),

  // recipes
  'config.fields': channel<ConfigField[]>()(nothing),
  'presets.list': channel<PresetRow[]>()(nothing),
  'presets.save': channel<PresetRow>()(z.strictObject({ name, title: text, ...recipe, replace })),
  'presets.delete': channel<Record<string, never>>()(z.strictObject({ name: known })),
  /** Every problem of a configuration at once, and what follows from it. */
  'config.check': channel<ConfigCheck>()(z.strictObject({ ...recipe, dataset: id.nullable() })),
  /** Time, memory and disk, by measuring a few steps in a process of its own. The task's result is a `Cost`. */
  'config.estimate': channel<TaskRef>()(z.strictObject({ ...recipe, dataset: id })),
  /** What the loader would make of images: both views, and the mask. Pictures are data URLs. */
  'lab.preview': channel<LabPreview[]>()(
    z.strictObject({
      ...recipe,
      dataset: id,
      images: z.array(id).max(12),
      /** Which draw of the random numbers. */
      draw: z.number().int().min(0),
    }),
  ),

  // runs
  'runs.list': channel<RunRow[]>()(nothing),
  'runs.get': channel<RunDetail>()(byId),
  /** At most `points` of the steps `from` to `to`; means of neighbouring steps where there are more. */
  'runs.metrics': channel<Metric[]>()(
    z.strictObject({
      id,
      points: z.number().int().min(2).max(5000),
      from: z.number().int().min(0).nullable(),
      to: z.number().int().min(0).nullable(),
    }),
  ),
  /** Puts runs at the end of the queue: one, or one for each combination of the grid's values. */
  'runs.create': channel<RunRow[]>()(
    z.strictObject({
      ...recipe,
      dataset: id,
      name: name.nullable(),
      grid: z.array(z.strictObject({ key: z.string().max(100), values: z.array(z.json()).min(1).max(50) })).max(2),
    }),
  ),
  'runs.pause': channel<RunRow>()(byId),
  'runs.stop': channel<RunRow>()(byId),
  /** Puts it at the end of the queue again, to go on from its last checkpoint. */
  'runs.resume': channel<RunRow>()(byId),
  /** Takes a run or an evaluation out of the queue's order and puts it before another; null for the end. */
  'queue.move': channel<Record<string, never>>()(z.strictObject({ item: queueItem, before: queueItem.nullable() })),
  /** Refused (`changed`) where something is not as it was `before` any more: another window has edited it. */
  'runs.annotate': channel<RunRow>()(
    z.strictObject({ id, ...annotation, before: z.strictObject(annotated).optional() }),
  ),
  'runs.delete': channel<Undo>()(z.strictObject({ ids: z.array(id).min(1).max(1000) })),
  'checkpoints.delete': channel<{ bytes: number }>()(byId),
  /** The encoder for other programs. A missing file ending is added; an existing file is refused (`conflict`). */
  'checkpoints.export': channel<Exported>()(
    z.strictObject({
      checkpoint: id,
      network: part,
      format: z.enum(['timm', 'onnx']),
      folder: path,
      file: name,
      /** A model card and its curve beside the weights. */
      card: z.boolean(),
      /** ONNX: the weights in FILE.data beside the graph, which is done without asking where one file cannot hold them. */
      externalData: z.boolean(),
      replace,
    }),
  ),
  /** The strip of fixed images with their look-ups at every checkpoint; those not computed yet are null. */
  'probes.get': channel<ProbeStrip>()(byId),
  /** Computes what `probes.get` lacks. */
  'probes.compute': channel<TaskRef>()(byId),

  // what it learned
  /** One image's look-ups at a checkpoint. No mask: one of the run's generator, by `draw`. */
  'explore.lookup': channel<LookupView>()(
    z.strictObject({
      checkpoint: id,
      image: id,
      mask: z.array(z.boolean()).max(65_536).nullable(),
      draw: z.number().int().min(0),
      /** Asks the network as it was before training. */
      untrained: z.boolean(),
    }),
  ),
  /** Where, and on what, look-ups are right, over many images. The task's result is a `LookupAccuracy`. */
  'explore.accuracy': channel<TaskRef>()(
    z.strictObject({ checkpoint: id, dataset: id, images: z.number().int().min(2).max(2000) }),
  ),

  // patches like a patch
  'retrieval.indexes': channel<RetrievalIndex[]>()(nothing),
  /** Builds, goes on with what was cut short, or adds new images. */
  'retrieval.build': channel<TaskRef>()(z.strictObject(retrieval)),
  /** Hidden at once, gone when the undo has run out, or when an index is built. Refused while it may be being built. */
  'retrieval.delete': channel<Undo>()(byId),
  'retrieval.search': channel<RetrievalView>()(
    z.strictObject({
      ...retrieval,
      /** Of the query; of any dataset. */
      image: id,
      /** One, or a region whose features are averaged. */
      patches: z.array(z.number().int().min(0)).min(1).max(65_536),
      /** Searches the query's image alone: this needs no index. */
      within: z.boolean(),
      k: z.number().int().min(1).max(500),
      label: text.nullable(),
      /** Start of the path. */
      folder: text,
      same_image: z.boolean(),
      duplicates: z.boolean(),
    }),
  ),

  // the same patch at several checkpoints, of one run or of more
  'travel.build': channel<TaskRef>()(z.strictObject(voyage)),
  /** Checkpoints that are not built yet have no results. */
  'travel.ask': channel<TravelView>()(
    z.strictObject({
      ...voyage,
      image: id,
      patches: z.array(z.number().int().min(0)).min(1).max(65_536),
      k: z.number().int().min(1).max(100),
    }),
  ),
  /** Principal components of patch tokens as colours, on one basis for all images. */
  'explore.colours': channel<ColoursView>()(
    z.strictObject({
      checkpoint: id,
      dataset: id,
      /** Comes first; null for none. */
      image: id.nullable(),
      images: z.number().int().min(1).max(64),
      part,
      untrained: z.boolean(),
      /** Tokens after so many blocks; null for all. */
      block: z.number().int().min(1).max(1000).nullable(),
      /** Colours only patches whose first component lies in the upper or lower part of its range, by a basis of their own. */
      foreground: z.strictObject({ side: z.enum(['upper', 'lower']), threshold: z.number().min(0).max(1) }).nullable(),
    }),
  ),
  /** Where a token of an image looks, in every head of every block. */
  'explore.attention': channel<AttentionView>()(
    z.strictObject({
      checkpoint: id,
      image: id,
      part,
      untrained: z.boolean(),
      /** A patch, row by row; null for CLS. */
      patch: z.number().int().min(0).max(65_535).nullable(),
    }),
  ),
  /** The map of a dataset's images as it was computed last; null where it was not, or where images changed since. */
  'explore.map': channel<MapView | null>()(z.strictObject(mapOf)),
  /** Computes what `explore.map` lacks. */
  'explore.map-compute': channel<TaskRef>()(z.strictObject(mapOf)),

  // evaluation and weights
  'evaluations.list': channel<Evaluation[]>()(z.strictObject({ run: id.nullable() })),
  /** Puts an evaluation at the end of the queue. Its task waits, and is there again after a restart until it has ended. */
  'evaluations.start': channel<TaskRef>()(
    z.strictObject({
      checkpoint: id,
      dataset: id,
      test_dataset: id.nullable(),
      task: z.enum(EVALUATION_TASKS).exclude(['finetune']),
      k: z.number().int().min(1).max(1000),
      /** Whether weights that were imported are evaluated too, where there are any. */
      official: z.boolean(),
    }),
  ),
  /** Puts a fine-tuning at the end of the queue, with that of the untrained network, and of imported weights. */
  'finetune.start': channel<RunRow[]>()(
    z.strictObject({
      checkpoint: id,
      part,
      dataset: id,
      test_dataset: id.nullable(),
      official: z.boolean(),
      /** Over the published recipe: see `fineTuneSchema`. */
      settings: changes,
    }),
  ),
  /** Collapse and short cuts, beside the untrained network, as one HTML file. */
  'health.report': channel<TaskRef>()(
    z.strictObject({
      checkpoint: id,
      dataset: id,
      images: z.number().int().min(4).max(100_000),
      folder: path,
      file: name,
      replace,
    }),
  ),
  /** Embeddings of images (mean, cls) or of all their patches (tokens, projector) to one file. */
  'embeddings.export': channel<TaskRef>()(
    z.strictObject({
      checkpoint: id,
      dataset: id,
      part: z.enum(['student', 'teacher', 'untrained']),
      feature: z.enum(['mean', 'cls', 'tokens', 'projector']),
      format: z.enum(['parquet', 'npy', 'csv']),
      folder: path,
      file: name,
      replace,
    }),
  ),
  'weights.export': channel<{ path: string; bytes: number }>()(
    z.strictObject({ checkpoint: id, part: z.enum(['student', 'teacher']), folder: path, file: name, replace }),
  ),
  /** Reads weights (.safetensors or .pth) as a checkpoint of a run of their own; they stand beside what is evaluated. */
  'weights.import': channel<ImportedWeights>()(
    z.strictObject({
      file: path,
      name: name.nullable(),
      /** Attention heads, where the file does not say. */
      heads: z.number().int().min(1).max(1024).nullable(),
    }),
  ),

  // runtime
  'runtime.doctor': channel<TaskRef>()(nothing),
  /** What is chosen, and what the last trial found. */
  'runtime.choice': channel<BackendChoice>()(nothing),
  /** Tries every backend for a few seconds; where a trial is going on already, it is that one. */
  'runtime.trial': channel<TaskRef>()(nothing),
  /** Runs that start from now on compute with it. */
  'runtime.use': channel<Record<string, never>>()(z.strictObject({ backend: z.enum(USES) })),
  'runtime.install': channel<TaskRef>()(z.strictObject({ variant: z.enum(['cpu', 'cuda']) })),
  'runtime.storage': channel<Storage>()(nothing),
  'runtime.remove': channel<{ bytes: number }>()(z.strictObject({ path })),

  // long work and undo
  'tasks.list': channel<Task[]>()(nothing),
  'tasks.cancel': channel<Record<string, never>>()(z.strictObject({ id: z.string().max(100) })),
  /** Shows the file that a task has written in the file manager of this machine, where that is possible. */
  'tasks.show': channel<{ path: string; shown: boolean }>()(z.strictObject({ id: z.string().max(100) })),
  'tasks.dismiss': channel<Record<string, never>>()(z.strictObject({ id: z.string().max(100) })),
  'undo.restore': channel<Record<string, never>>()(z.strictObject({ undo: z.string().max(100) })),
} as const;

export type Channel = keyof typeof CHANNELS;

/**
 * Channels that only ask. Without a connection a window may ask late; whatever else there is does something, and is
 * refused then: it would be done when nobody thinks of it any more.
 */
export const ASKS: ReadonlySet<string> = new Set([
  ...['app.info', 'folders.list', 'tasks.list', 'datasets.list', 'datasets.get', 'images.page', 'images.get'],
  ...['prepared.plan', 'config.fields', 'config.check', 'presets.list', 'lab.preview', 'runs.list', 'runs.get'],
  ...['runs.metrics', 'probes.get', 'explore.lookup', 'explore.colours', 'explore.attention', 'explore.map'],
  ...['retrieval.indexes', 'retrieval.search', 'travel.ask', 'evaluations.list', 'runtime.choice', 'runtime.storage'],
]);
export type Input<C extends Channel> = z.output<(typeof CHANNELS)[C]['input']>;
/** What a caller gives: what has a default may be left out. */
export type Asked<C extends Channel> = z.input<(typeof CHANNELS)[C]['input']>;
export type Result<C extends Channel> = Exclude<(typeof CHANNELS)[C]['result'], undefined>;
export const CHANNEL_NAMES = Object.keys(CHANNELS) as Channel[];

/** How an answer crosses: an error stays an error, with its words. */
export type Answer<R = unknown> = { ok: true; value: R } | { ok: false; error: ErrorReport };

// ------------------------------------------------------------------------------------------------ events

export type AppEvent =
  | { type: 'task'; task: Task }
  | { type: 'task-gone'; id: string }
  /** A run is new or has changed. */
  | { type: 'run'; run: RunRow }
  /** Runs were deleted, restored or reordered: ask again. */
  | { type: 'runs' }
  | { type: 'metrics'; run: number; metrics: Metric[] }
  | { type: 'checkpoint'; run: number }
  | { type: 'datasets' }
  | { type: 'evaluations' }
  | { type: 'indexes' }
  | { type: 'prepared' }
  | { type: 'presets' }
  | { type: 'usage'; usage: Usage }
  | { type: 'notice'; text: string; run: number | null }
  /** A request of a window has failed after the window had stopped waiting for its answer. */
  | { type: 'failure'; error: ErrorReport }
  /** A command of the application menu. */
  | { type: 'menu'; action: string }
  /** Events were lost (the window slept for long): everything must be asked again. */
  | { type: 'resync' };

/** An event under its number: numbers rise by one, so that a window knows what it missed. */
export interface Numbered {
  seq: number;
  event: AppEvent;
}

// ------------------------------------------------------------------------------------------------ what is given

export interface AppInfo {
  version: string;
  shell: 'electron' | 'browser';
  platform: string;
  /** Where the database is. */
  home: string;
  host: string;
}

export interface FolderListing {
  path: string;
  parent: string | null;
  folders: { name: string; path: string }[];
  /** Files in it that look like images, counted up to 1000. */
  images: number;
  /** Files in it that may hold weights, up to 1000. */
  weights: { name: string; path: string; bytes: number }[];
}

export interface DatasetRow extends Dataset {
  classes: number;
  vanished_count: number;
  bytes: number;
  runs: number;
  /** One of its folders that is not there now. */
  missing_folder: string | null;
  /** Why it is not: nothing is there, its disk does not answer, or nobody may look. */
  missing_why: 'gone' | 'silent' | 'closed' | null;
}

export interface DatasetDetail extends DatasetRow {
  labels_count: { label: string; count: number }[];
  skipped: { reason: SkipReason; count: number }[];
  /** What a person should know of its classes: they look like a split, equal files lie in several. */
  notices: string[];
  /** What of usable files is not seen, in words, with the number of files. */
  notes: { note: string; count: number }[];
  /** Least, median and greatest, pixels. */
  width: [number, number, number] | null;
  height: [number, number, number] | null;
  formats: { format: string; count: number }[];
}

/** Thumbnails are at `media/thumb/<image id>`: the server caches them. */
export interface ImagePage {
  total: number;
  images: ImageRow[];
}

/** What preparing a dataset at a size would take. */
export interface PreparePlan {
  dataset: string;
  /** Shorter side at most, pixels. */
  size: number;
  /** Images that are to be prepared, and that are already. */
  images: number;
  ready: number;
  /** Of those that are to be. */
  bytes: number;
  /** On the disk. */
  free: number;
}

export interface ImageDetail extends ImageRow {
  file: string;
  /** Files of the dataset with the same content. */
  same: { id: number; path: string }[];
}

/** A field of a configuration, for a form. */
export interface ConfigField {
  /** `section.field`. */
  key: string;
  kind: 'number' | 'integer' | 'boolean' | 'choice' | 'range' | 'numbers';
  nullable: boolean;
  choices: string[] | null;
  min: number | null;
  max: number | null;
  /** Unit, meaning and source. */
  description: string;
  default: unknown;
}

export interface PresetRow {
  name: string;
  title: string;
  source: string;
  meant_for: string;
  config: RunConfig;
  /** Saved by the user. */
  own: boolean;
}

export interface ConfigProblem {
  /** Dotted key; empty for the whole. */
  key: string;
  message: string;
  /** What to do: the nearest valid value. */
  next: string;
}

export interface ConfigCheck {
  /** Null where there are problems. */
  config: RunConfig | null;
  problems: ConfigProblem[];
  /** Where it differs from the preset. */
  differs: { key: string; preset: unknown; value: unknown }[];
  /** Null where there are problems, or no dataset. */
  plan: {
    images: number;
    steps: number;
    steps_per_epoch: number;
    /** Patches of an image: keys of its dictionary. */
    K: number;
    masked: number;
    /** Where settings work out differently from what they say, or do not fit together; each with the setting to change. */
    notices: string[];
    parameters: number;
    checkpoint_bytes: number;
    /** At most 200 points over the whole run. */
    curves: { step: number[]; lr: number[]; weight_decay: number[]; momentum: number[] };
  } | null;
}

export interface Cost {
  /** Whole run. */
  seconds: number;
  images_per_s: number;
  peak_memory: number;
  checkpoint_bytes: number;
  steps: number;
  /** How each figure was obtained. */
  how: string;
  /** A warning where it will not fit into memory, with the setting that would change that. */
  warning: string | null;
}

export interface LabPreview {
  image: number;
  /** Of its content as it was imported. */
  hash: string;
  path: string;
  width: number;
  height: number;
  /** Patches along a side. */
  grid: number;
  /** Row by row; true where the student sees the mask token. */
  mask: boolean[];
  student: string;
  teacher: string;
  /** What was drawn for the teacher, in words. */
  drawn: string[];
  crop: { left: number; top: number; width: number; height: number };
}

export interface RunRow extends Run {
  dataset: string | null;
  last: Metric | null;
  /** It can be explored. */
  has_checkpoint: boolean;
  /** What should be known of it: `notices` of its details. */
  notice_count: number;
  /** What goes wrong with it, by its last steps; null where nothing does. */
  alarm: Sign | null;
  /** Seconds that an image takes, by its last steps; null where none is known. */
  pace: number | null;
}

export interface RunDetail extends RunRow {
  checkpoints: Checkpoint[];
  evaluations: Evaluation[];
  notices: Notice[];
  metric_count: number;
  differs: ConfigCheck['differs'];
}

export interface ImportedWeights {
  run: number;
  /** What the file does not say, and which value was assumed. */
  notes: string[];
  /** Tensors of the file that a ConMIM model does not have. */
  ignored: string[];
}

/** What an export wrote. */
export interface Exported {
  tensors: number;
  /** The weights first; of ONNX whose weights are in a file of their own, the graph and then that one. */
  files: { path: string; bytes: number }[];
}

/** A patch search's answers, the nearest first. A patch is its place in the grid, row by row. */
export interface RetrievalView {
  grid: number;
  /** The middle square of the query's image, as a data URL. */
  picture: string;
  path: string;
  patches: number[];
  /** Cosine of every patch of the query's image with the query. */
  similarity: number[];
  results: {
    image: number;
    path: string;
    label: string | null;
    patch: number;
    /** Cosine, of features less their mean. */
    score: number;
    picture: string;
  }[];
  searched: Searched;
}

/** The nearest patches of other images at each checkpoint; the untrained network of a run stands before its first. */
export interface TravelView {
  /** Of the first checkpoint's network: the query's patches are on it. */
  grid: number;
  picture: string;
  path: string;
  /** Of images among the results, by id. */
  pictures: Record<number, string>;
  stations: TravelStation[];
}

/** One network that was asked: the untrained one of a run, or a checkpoint's. */
export interface TravelStation {
  checkpoint: number;
  run: number;
  name: string;
  step: number;
  is_untrained: boolean;
  /** Patches of a row of its images. Where it is another than the query's, the same part of the picture is asked. */
  grid: number;
  /** Null where it is not built yet. */
  results: TravelAnswer[] | null;
  /** Share of the results that the station before, of the same run, had too. */
  overlap: number | null;
  /** For another run: the first run's station nearest to it in steps, beside which it is shown. Null for the first run's own. */
  beside: {
    checkpoint: number;
    step: number;
    is_untrained: boolean;
    /** Share of the results that both have; null where their grids differ. */
    overlap: number | null;
  } | null;
}

export interface TravelAnswer extends Place {
  path: string;
  score: number;
  /** Rank at the station before, from 1; null where it was not among its results. */
  rank_before: number | null;
  /** Rank at the station that it stands beside. */
  rank_beside: number | null;
}

/** What was searched, and how surely. */
export interface Searched {
  dataset: string;
  images: number;
  patches: number;
  /** True where all were compared. */
  is_exact: boolean;
  /** Recall of the best ten by score, measured against exact search; null where all were compared. */
  recall: number | null;
  /** The search alone, ms. */
  ms: number;
  /** All of this in a sentence or two. */
  words: string;
}

/** The answer at one masked patch. */
export interface ProbeAnswer {
  /** Place in the grid, row by row. */
  patch: number;
  /** The key that the student found most like its query. */
  best: number;
  /** Rank of the true place, from 1. */
  rank: number;
}

export interface ProbeStrip {
  grid: number;
  images: { image: number; path: string; picture: string; mask: boolean[] }[];
  /** By step; the first is the untrained network (`checkpoint` null). `answers[i]` is of `images[i]`. */
  columns: { checkpoint: number | null; step: number; answers: ProbeAnswer[][] | null }[];
}

/** One image's look-ups. A patch is its place in the grid, row by row. */
export interface LookupView {
  grid: number;
  /** What the networks saw: the middle square, as a data URL. */
  picture: string;
  path: string;
  step: number;
  temperature: number;
  mask: boolean[];
  answers: {
    patch: number;
    /** Rank of the true place, from 1. */
    rank: number;
    /** The same among another image's keys. */
    control_rank: number;
    /** The five most likely places, the likeliest first. */
    top5: number[];
    /** Of the K places, in ten-thousandths. */
    chances: number[];
    /** Nats; ln K is guessing. */
    entropy: number;
  }[];
  /** Whose BatchNorm statistics were used, in words. */
  how: string;
}

export interface LookupAccuracy {
  grid: number;
  /** That were asked. */
  images: number;
  /** That could not be read. */
  left_out: LeftOut[];
  /** Look-ups that found their place, by place: share, and of how many. Null where nothing was masked. */
  places: { top1: number | null; control: number | null; n: number }[];
  /** By how much happens in a patch: quarters, from plain to rich. */
  content: { from: number; to: number; top1: number; control: number; n: number }[];
  trained: { top1: number; control: number };
  untrained: { top1: number; control: number };
}

/** First principal components of patch tokens. */
export interface ColoursView {
  grid: number;
  step: number;
  /** Blocks that the tokens went through, of `depth`. */
  block: number;
  depth: number;
  images: {
    id: number;
    hash: string;
    path: string;
    /** One pixel a patch, as a data URL; transparent where it is not in the foreground. */
    colours: string;
  }[];
  /** Share of the variance of the coloured patches that each of the three components has. */
  explained: number[];
  /** Images that could not be read. */
  left_out: LeftOut[];
  /** Coloured patches, and all. */
  coloured: number;
  patches: number;
}

/** Attention of one token to all, by block and head. */
export interface AttentionView {
  grid: number;
  step: number;
  path: string;
  /** What the network saw: the middle square, as a data URL. */
  picture: string;
  depth: number;
  heads: number;
  /** Null: CLS. */
  patch: number | null;
  blocks: {
    /** Probabilities of each of the K patches, in millionths, row by row. */
    patches: number[];
    /** Probability of CLS. */
    cls: number;
    /** Nats, over CLS and patches; ln (K + 1) is looking everywhere alike. */
    entropy: number;
    /** Mean over all patches of how far they look for other patches, in patches. */
    distance: number;
  }[][];
}

/** A dataset's images in two dimensions: near where a network's features are near. */
export interface MapView {
  step: number;
  /** Usable images of the dataset, of which `ids` are on the map; more than the limit are sampled evenly. */
  total: number;
  /** Images that could not be read any more; the first of them are named. */
  unreadable: number;
  left_out: LeftOut[];
  created_at: number;
  ids: number[];
  /** Of their contents, as far as an address of a picture needs. */
  hashes: string[];
  paths: string[];
  x: number[];
  y: number[];
  labels: string[];
  /** Of each image, its place in `labels`; -1 for none. */
  label: number[];
  figures: MapFigures;
}

/** How far the map can be trusted, of `sample` of its n images. */
export interface MapFigures {
  /** Neighbours that were compared. */
  k: number;
  n: number;
  sample: number;
  /** 1 where every neighbour on the map is one of the features too (Venna and Kaski, 2001); guessing gives about a half. */
  trustworthiness: number;
  /** Share of the k nearest by features that are the k nearest on the map; guessing gives k / (n - 1). */
  kept: number;
}

export interface Storage {
  home: { path: string; bytes: number; free: number };
  runs: { id: number; name: string; checkpoints: number; bytes: number }[];
  indexes: {
    id: number;
    /** Of the run and the dataset. */
    run: string;
    dataset: string;
    step: number;
    part: RetrievalIndex['part'];
    feature: string;
    images: number;
    is_ready: boolean;
    bytes: number;
  }[];
  prepared: { id: number; dataset: string; size: number; images: number; missing: number; bytes: number }[];
  runtimes: { path: string; name: string; bytes: number; in_use: boolean }[];
  thumbnails: { path: string; bytes: number };
}

export interface Usage {
  /** 0 to 1, of all cores. */
  cpu: number;
  memory: { used: number; total: number };
  /** Of the process that trains; null where none does. */
  trainer: { run: number; cpu: number; memory: number } | null;
  gpus: { name: string; use: number; memory_used: number; memory_total: number }[];
}

export interface Undo {
  undo: string;
  what: string;
}

export interface TaskRef {
  task: string;
}

export type TaskKind =
  | 'accuracy'
  | 'index'
  | 'map'
  | 'import'
  | 'rescan'
  | 'prepare'
  | 'estimate'
  | 'evaluate'
  | 'embeddings'
  | 'health'
  | 'probes'
  | 'doctor'
  | 'check'
  | 'trial'
  | 'install';

/** Long work that a window started. */
export interface Task {
  id: string;
  kind: TaskKind;
  title: string;
  status: 'waiting' | 'running' | 'done' | 'failed' | 'canceled';
  /** What it does now. */
  phase: string;
  done: number;
  /** 0 where not known. */
  total: number;
  started_at: number;
  ended_at: number | null;
  error: ErrorReport | null;
  /** By kind: `ImportSummary`, `PrepareSummary`, `Cost`, evaluation, `DoctorReport`, `Trial`. */
  result: unknown;
  cancelable: boolean;
  /** Of an evaluation: its number in the queue, and its place among what waits (the least is next; null: none). */
  queued: { id: number; position: number | null } | null;
}

export type { RunConfig, RunConfigInput, RunStatus };
