import { z } from 'zod';
import { PREPARED_LIMITS } from '../config.ts';
import type { Dataset, ImageRow, SkipReason } from '../dataset.ts';
import type { NotImported } from '../not-imported.ts';
import type { PreparedSet } from '../prepared.ts';
import { byId, channel, id, known, name, nothing, path, text } from './schemas.ts';
import type { TaskRef, Undo } from './started.ts';

/** Datasets, their images, and what is prepared of them. */

/** Shorter side of prepared images, pixels. */
const preparedSide = z.number().int().min(PREPARED_LIMITS.min).max(PREPARED_LIMITS.max);

export const DATASETS = {
  'datasets.list': channel<DatasetRow[]>()(nothing),
  'datasets.get': channel<DatasetDetail>()(byId),
  'datasets.import': channel<TaskRef<'import'>>()(
    z.strictObject({ name, folders: z.array(path).min(1).max(100), labels: z.enum(['none', 'folders']).optional() }),
  ),
  /** The photographs and drawings that come with the program. */
  'datasets.import-sample': channel<TaskRef<'import'>>()(nothing),
  'datasets.rescan': channel<TaskRef<'rescan'>>()(byId),
  /** A folder of a dataset has moved: its images are looked for where it is now, and its files looked at again. */
  'datasets.locate': channel<TaskRef<'rescan'>>()(z.strictObject({ id, from: path, to: path })),
  /** Refused (`changed`) where the name is not `before` any more. */
  'datasets.rename': channel<Dataset>()(z.strictObject({ id, name, before: known.optional() })),
  /** Hidden at once, gone when the undo has run out. Refused where runs were trained on it. */
  'datasets.delete': channel<Undo>()(byId),
  /** What preparing would take; nothing is made. */
  'prepared.plan': channel<PreparePlan>()(z.strictObject({ dataset: id, size: preparedSide })),
  /** Keeps a dataset's images decoded and downsized, or goes on with it. */
  'prepared.start': channel<TaskRef<'prepare'>>()(z.strictObject({ dataset: id, size: preparedSide })),
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
} as const;

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

/** What an import, or another look at a dataset, found: the result of its task. */
export interface ImportSummary {
  dataset: Dataset;
  added: number;
  /** Files whose content changed. */
  changed: number;
  vanished: number;
  unchanged: number;
  /** All images of the dataset that are skipped, duplicates too. */
  skipped: { reason: SkipReason; count: number }[];
  duplicates: number;
  classes: { label: string; count: number }[];
  /** Files that are no images, by their extension or content. */
  ignored: number;
  /** Folders that could not be listed. */
  closed: string[];
  /** All that was found and left out, by why. */
  left_out: NotImported;
  /** What of usable files is not seen, in words, with the number of files. */
  notes: { note: string; count: number }[];
  ms: number;
  /** Files opened per second of reading; 0 where none had to be. */
  filesPerSecond: number;
}

/** The same, as a task gives it. */
export interface DatasetScan extends Omit<ImportSummary, 'dataset'> {
  dataset: number;
}

/** What preparing did: the result of its task. */
export interface PrepareSummary {
  set: PreparedSet;
  /** Images that were prepared now. */
  added: number;
  /** Files that could not be: read, or found as the dataset knows them. */
  failed: { path: string; why: string }[];
  failures: number;
  /** Images whose pixels were not what was written, and that were prepared again. */
  damaged: number;
  /** Bytes of images that changed or went, given back. */
  freed: number;
  seconds: number;
}
