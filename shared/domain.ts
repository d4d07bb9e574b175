import type { RunConfig } from './config.ts';
import type { ErrorReport } from './errors.ts';
import type { FineTune } from './finetune.ts';

/** What the store keeps and the services, the command line and the windows speak of. Times are milliseconds since 1970. */

export type SkipReason = 'unreadable' | 'truncated' | 'too-small' | 'too-large' | 'duplicate' | 'empty' | 'unsupported';

export interface Dataset {
  id: number;
  name: string;
  folders: string[];
  labels: 'none' | 'folders';
  created_at: number;
  scanned_at: number | null;
  image_count: number;
  skipped_count: number;
  /** Of the import that was completed last; null where none was, or an older program did it. */
  left_out: NotImported | null;
}

/** What a scan of a dataset's folders left out. Paths are in the store's form; of many only the first are kept. */
export interface NotImported {
  /** Files that are no images, by what they are: an extension in lower case, or what their content is. */
  kinds: { kind: string; count: number }[];
  /** Folders that could not be listed. */
  closed: Places;
  /** Folders that systems and other programs keep previews and deleted files in. */
  system: Places;
  /** Files and folders whose name begins with a dot. */
  hidden: Places;
  /** This program's own folders. */
  own: Places;
  /** Pipes, sockets, devices. */
  special: Places;
  /** Links to files or folders that are not there. */
  broken: Places;
}

export interface Places {
  count: number;
  paths: string[];
}

export interface ImageRow {
  id: number;
  dataset_id: number;
  /** Which of the dataset's folders, by index. */
  folder: number;
  /** Path inside it, with forward slashes. */
  path: string;
  bytes: number;
  /** Modification time, ms. */
  mtime: number;
  /** SHA-256 of the file, hexadecimal. */
  hash: string;
  /** Pixels after EXIF rotation. */
  width: number;
  height: number;
  format: string;
  /** Class folder, or null. */
  label: string | null;
  status: 'ok' | 'skipped' | 'vanished';
  reason: SkipReason | null;
  /** Words for a person: which file it duplicates, what the decoder said. */
  detail: string | null;
  /** What of a usable file is not seen, in words: bands, pages, bits that are left out. */
  note: string | null;
  /** Version of the import rules by which it was judged: an import with other rules opens the file again. */
  rules: number;
}

export type RunStatus = 'queued' | 'running' | 'paused' | 'interrupted' | 'finished' | 'stopped' | 'failed';

export interface Run {
  id: number;
  name: string;
  /** Null for weights that were imported. */
  dataset_id: number | null;
  preset: string | null;
  config: RunConfig;
  status: RunStatus;
  /** Step that was finished last. */
  step: number;
  total_steps: number;
  /** Steps in which every image is seen once: seldom a whole number. */
  steps_per_epoch: number;
  created_at: number;
  started_at: number | null;
  ended_at: number | null;
  /** Process that trains it, and its last heartbeat. */
  pid: number | null;
  heartbeat: number | null;
  /** What another process asks of the trainer. */
  request: 'pause' | 'stop' | null;
  error: { kind: string; what: string; why: string; next: string } | null;
  /** Backend, device and versions that it last ran on. */
  runtime: Record<string, unknown> | null;
  notes: string;
  tags: string[];
  /** Place in the queue, whose runs are started one after the other, the least first; null for a run that is not queued. */
  queue_position: number | null;
  /** Of a run that fine-tunes; null for a pretraining. */
  finetune: FineTune | null;
}

/**
 * One row per step. Null where not measured at that step. A fine-tuning's `top1` and `top5` are its accuracy on the test
 * images as it was measured last.
 */
export interface Metric {
  step: number;
  /** Of the last image that the step saw, from 0. */
  epoch: number;
  time: number;
  loss: number;
  top1: number;
  top5: number;
  /** Top-1 of the same queries asked for another image's keys: what position alone gives. */
  top1_control: number | null;
  grad_norm: number;
  lr: number;
  weight_decay: number;
  momentum: number;
  images_per_s: number;
  /** Share of the step's time spent waiting for data. */
  data_wait: number;
  /** Images that failed and were replaced in this step. */
  replaced: number;
  rank_student: number | null;
  rank_teacher: number | null;
  cosine_student: number | null;
  cosine_teacher: number | null;
}

export interface Checkpoint {
  id: number;
  run_id: number;
  step: number;
  /** Epochs that were done: images seen over images. */
  epoch: number;
  created_at: number;
  /** Mean loss since the checkpoint before. */
  loss: number | null;
  has_optimizer: boolean;
  is_best: boolean;
  config: RunConfig;
  /** Bytes of all its tensors. */
  bytes: number;
}

/** What a person should know of a run: said while it trained, kept with it. */
export interface Notice {
  step: number;
  created_at: number;
  text: string;
}

/** Parts of a checkpoint; tensor names within a part are the published code's. */
export type TensorPart = 'student' | 'teacher' | 'exp_avg' | 'exp_avg_sq';

/** A tensor outside any backend: float32, row-major, in the published (PyTorch) layout. */
export interface HostTensor {
  shape: number[];
  data: Float32Array;
}
export type StateDict = Map<string, HostTensor>;
/** Tensors by name, each of which may be made or read only when it is asked for. */
export type TensorSource = Pick<StateDict, 'get'>;
/** Tensors one after the other, each made when its turn comes; gone through once. */
export type TensorSequence = Iterable<readonly [name: string, tensor: HostTensor]>;

export const EVALUATION_TASKS = ['lookup', 'knn', 'fewshot', 'linear', 'finetune'] as const;
export type EvaluationTask = (typeof EVALUATION_TASKS)[number];

export interface Evaluation {
  id: number;
  checkpoint_id: number | null;
  /** Null where it was deleted: the result names it. */
  dataset_id: number | null;
  task: EvaluationTask;
  created_at: number;
  /** Figures, with those of the untrained network beside them. */
  result: Record<string, unknown>;
}

/** An evaluation of the queue: it waits, is worked at (`pid`), or failed (`error`). */
export interface QueuedEvaluation {
  id: number;
  run_id: number;
  /** May be deleted by now. */
  checkpoint_id: number;
  step: number;
  dataset_id: number;
  /** Null: a fixed fifth of each class is the test. */
  test_dataset_id: number | null;
  task: Exclude<EvaluationTask, 'finetune'>;
  options: {
    /** Neighbours of k-NN. */
    k: number;
    /** A checkpoint beside it; null for none; missing for the weights that were imported last. */
    official?: number | null;
  };
  /** Null while it is worked at, and where it failed. */
  queue_position: number | null;
  pid: number | null;
  heartbeat: number | null;
  /** How often it was begun, and how often its process died. */
  begun: number;
  deaths: number;
  is_canceled: boolean;
  error: ErrorReport | null;
  created_at: number;
}

/** What waits in the queue. */
export interface QueueItem {
  kind: 'run' | 'evaluation';
  id: number;
}

/** A source of uniform random numbers in [0, 1). */
export interface Uniform {
  next(): number;
}

/** What an index of patch features is of. */
export interface RetrievalSpec {
  checkpoint_id: number;
  dataset_id: number;
  /** Whose features; `untrained` is the network before its first step. */
  part: 'student' | 'teacher' | 'untrained';
  /** `tokens` (after the last LayerNorm), `projector`, or `block-N`, counted from 1. */
  feature: string;
  /** Spread evenly over the dataset; 0 for all of its images. */
  max_images: number;
}

export interface RetrievalIndex extends RetrievalSpec {
  id: number;
  images: number;
  /** False while it is built, or where building was cut short: building goes on from there. */
  is_ready: boolean;
  created_at: number;
}

/** A dataset's images, decoded and downsized, kept in files. */
export interface PreparedSet {
  id: number;
  dataset_id: number;
  /** Shorter side at most, pixels. */
  size: number;
  /** The file that is written to, from 1; 0 before there is one. */
  file: number;
  /** Bytes of it that are whole. */
  end: number;
  /** The process that writes to it, and when it last did. */
  pid: number | null;
  heartbeat: number | null;
  created_at: number;
  /** Images in it that are as they were when they were prepared. */
  images: number;
  /** Usable images of the dataset that are not in it, or have changed since. */
  missing: number;
}

/** Pixels of an image in a set's file of this number. */
export interface PreparedImage {
  image_id: number;
  file: number;
  start: number;
  width: number;
  height: number;
  /** Of the source file, as the dataset knew it. */
  hash: string;
  /** Of the pixels; null where an older version kept none. */
  crc32: number | null;
}
