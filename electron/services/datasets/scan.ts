import { opendir } from 'node:fs/promises';
import { sep } from 'node:path';
import type { ImportSummary } from '../../../shared/contract/datasets.ts';
import type { Dataset, ImageRow } from '../../../shared/dataset.ts';
import { AppError } from '../../../shared/errors.ts';
import type { ProbeLimits, ProbeResult } from '../../data/probe.ts';
import { probeFiles } from '../../data/probe-pool.ts';
import { byPath, type FoundFile, labelOf, type Walk } from '../../data/scan.ts';
import { onDisk } from '../../files/on-disk.ts';
import { fileOf } from '../../store/image-file.ts';
import type { Store } from '../../store/store.ts';

export interface ImportProgress {
  /** `finding` lists the folders, `reading` opens what is new or changed. */
  phase: 'finding' | 'reading';
  /** Image files found. */
  found: number;
  /** Of `total` files that must be opened, how many are done. */
  done: number;
  total: number;
  perSecond: number;
  /** Folder or file at hand. */
  current: string;
}

export interface ScanOptions extends ProbeLimits {
  /** At most ten times a second. */
  onProgress?: ((progress: ImportProgress) => void) | undefined;
  /** Ends the import; what was read stays, and the next import continues from there. */
  signal?: AbortSignal | undefined;
}

type NewRow = Omit<ImageRow, 'id' | 'dataset_id'>;

/**
 * Version of the rules by which files are judged here. Where it is higher than a row's, the next import opens that file
 * again: an older program may have judged it otherwise.
 */
const RULES = 1;
/** What version 1 changed: bands of TIFFs, and why a file cannot be read. */
const isJudgedAnew = ({ rules, format, reason, hash }: ImageRow) =>
  rules < RULES &&
  (format === 'tiff' ||
    ((reason === 'unreadable' || reason === 'truncated' || reason === 'unsupported') && hash !== ''));

/** Rows of one transaction. */
const WRITE = 1000;

/**
 * Brings the store to what a walk of the dataset's folders found: opens what is added or changed, writes as it goes, marks
 * what vanished, and settles duplicates. With what was read written it throws `AppError`: `canceled` after `signal`,
 * `data-vanished` where a folder goes away meanwhile.
 */
export async function updateImages(
  store: Store,
  dataset: Dataset,
  walk: Walk,
  options: ScanOptions,
): Promise<ImportSummary> {
  const started = performance.now();
  const { signal, minSide, maxPixels } = options;
  const known = new Map<string, ImageRow>();
  for (const row of store.images.iterate(dataset.id)) known.set(keyOf(row), row);

  const toRead: FoundFile[] = [];
  const rows: NewRow[] = [];
  const count = { added: 0, changed: 0, vanished: 0, unchanged: 0 };
  const labelFor = (path: string) => (dataset.labels === 'folders' ? labelOf(path) : null);
  const flush = (above = 0) => {
    while (rows.length > above) store.images.upsertMany(dataset.id, rows.splice(0, WRITE));
  };
  const put = (file: FoundFile, result: ProbeResult) => {
    const before = known.get(keyOf(file));
    if (!before || before.status === 'vanished') count.added++;
    else if (before.hash !== result.hash) count.changed++;
    else count.unchanged++;
    const { folder, path, bytes, mtime } = file;
    rows.push({
      folder,
      path,
      bytes,
      mtime,
      label: labelFor(path),
      ...result,
      rules: RULES,
      status: result.reason ? 'skipped' : 'ok',
    });
    flush(WRITE - 1);
  };

  for (const file of walk.files) {
    const before = known.get(keyOf(file));
    if (before && isUnchanged(file, before, options)) count.unchanged++;
    else if (file.unsupported) put(file, UNSUPPORTED);
    else toRead.push(file);
  }
  flush();

  const say = throttle(options.onProgress);
  const reading = performance.now();
  const perSecond = (done: number) => Math.round((1000 * done) / Math.max(1, performance.now() - reading));
  let done = 0;
  const limits: ProbeLimits = { ...(minSide && { minSide }), ...(maxPixels && { maxPixels }) };
  for await (const batch of probeFiles(toRead, { limits, signal })) {
    // What could not be opened at all may have gone with its folder: then nothing is known of it.
    const unopened = new Set(batch.filter(({ result }) => result.hash === '').map(({ file }) => file.folder));
    const gone = await firstGone([...unopened].map((folder) => dataset.folders[folder]!));
    for (const { file, result } of batch) if (gone === null || result.hash !== '') put(file, result);
    if (gone !== null) {
      flush();
      settleDuplicates(store, dataset, walk);
      throw wentAway(gone, `${done} of ${toRead.length} files`);
    }
    done += batch.length;
    const current = batch.at(-1)!.file.absolute;
    say({
      phase: 'reading',
      found: walk.files.length,
      done,
      total: toRead.length,
      perSecond: perSecond(done),
      current,
    });
  }
  flush();
  const filesPerSecond = done === 0 ? 0 : perSecond(done);

  if (done < toRead.length) {
    settleDuplicates(store, dataset, walk);
    throw canceled(`after ${done} of ${toRead.length} files`);
  }
  for (const file of walk.files) known.delete(keyOf(file));
  const gone = [...known.values()].filter((row) => row.status !== 'vanished' && !isClosed(dataset, walk, row));
  count.vanished = gone.length;
  store.images.markVanished(gone.map((row) => row.id));
  settleDuplicates(store, dataset, walk);
  store.datasets.markScanned(dataset.id, walk.leftOut);

  const skipped = store.images.skipSummary(dataset.id);
  return {
    dataset: store.datasets.get(dataset.id),
    ...count,
    skipped,
    duplicates: skipped.find((s) => s.reason === 'duplicate')?.count ?? 0,
    classes: store.images.labels(dataset.id),
    ignored: ignoredFiles(walk),
    closed: walk.closed,
    left_out: walk.leftOut,
    notes: store.images.notes(dataset.id),
    ms: Math.round(performance.now() - started),
    filesPerSecond,
  };
}

export const ignoredFiles = ({ leftOut }: Walk) => leftOut.kinds.reduce((sum, { count }) => sum + count, 0);

const UNSUPPORTED = {
  hash: '',
  note: null,
  width: 0,
  height: 0,
  format: '',
  reason: 'unsupported',
  detail: 'this kind of image is not read; convert it to JPEG, PNG, WebP, AVIF or TIFF',
} as const;

/** Whether what the store knows of a file still holds: same size and time, it could be read, and the limits agree. */
function isUnchanged(file: FoundFile, row: ImageRow, { minSide, maxPixels }: ProbeLimits): boolean {
  if (row.status === 'vanished' || row.bytes !== file.bytes || row.mtime !== file.mtime) return false;
  if (file.unsupported && row.reason === 'unsupported') return true;
  if (row.hash === '' || isJudgedAnew(row)) return false;
  const usable = row.reason === null || row.reason === 'duplicate';
  const tiny = minSide !== undefined && Math.min(row.width, row.height) < minSide;
  const huge = maxPixels !== undefined && row.width * row.height > maxPixels;
  if (usable) return !tiny && !huge;
  if (row.reason === 'too-small') return minSide === undefined || tiny;
  if (row.reason === 'too-large') return maxPixels === undefined || huge;
  return true;
}

/**
 * Of files with equal content one is `ok`, the others are skipped as duplicates of it: one with a class before one that
 * has none, a real one before a linked one, then the first by path. Settled once all rows are written, so neither the order
 * of the workers nor that of the imports shows, and what an older program settled otherwise is put right.
 */
function settleDuplicates(store: Store, dataset: Dataset, walk: Walk) {
  const linked = new Set(walk.files.filter((file) => file.linked).map(keyOf));
  const first = new Map<string, { folder: number; path: string; rank: number }>();
  const rankOf = (row: ImageRow) => (row.label === null ? 2 : 0) + (linked.has(keyOf(row)) ? 1 : 0);
  const candidate = (row: ImageRow) => row.status === 'ok' || row.reason === 'duplicate';
  const live = (row: ImageRow) => row.status !== 'vanished' && candidate(row);
  for (const row of store.images.iterate(dataset.id)) {
    if (!live(row)) continue;
    const { folder, path } = row;
    const seen = first.get(row.hash);
    const rank = rankOf(row);
    if (!seen || (rank - seen.rank || byPath(row, seen)) < 0) first.set(row.hash, { folder, path, rank });
  }
  const wrong: NewRow[] = [];
  for (const row of store.images.iterate(dataset.id)) {
    if (!live(row)) continue;
    const original = first.get(row.hash)!;
    const single = byPath(row, original) === 0;
    const place = original.folder === row.folder ? original.path : fileOf(dataset, original);
    const detail = single ? null : `same content as ${place}`;
    if (row.detail === detail && (row.status === 'ok') === single) continue;
    const { id: _id, dataset_id: _dataset, ...rest } = row;
    wrong.push({ ...rest, status: single ? 'ok' : 'skipped', reason: single ? null : 'duplicate', detail });
  }
  while (wrong.length > 0) store.images.upsertMany(dataset.id, wrong.splice(0, WRITE));
}

/** Whether an image lies in a folder that could not be listed, so that nobody knows whether it vanished. */
function isClosed(dataset: Dataset, walk: Walk, row: ImageRow): boolean {
  const absolute = fileOf(dataset, row);
  return walk.closed.some((folder) => absolute.startsWith(folder + sep));
}

const keyOf = (file: { folder: number; path: string }) => `${file.folder}/${file.path}`;

export const canceled = (when: string) =>
  new AppError('canceled', `The import was canceled ${when}.`, '', 'Import the same folders again to continue.');

const wentAway = (folder: string, when: string) =>
  new AppError(
    'data-vanished',
    `The folder ${folder} went away after ${when} were read.`,
    'It was moved, renamed, or its disk is not connected any more.',
    'Bring it back, and import it again to continue.',
  );

/** The first folder that is not there, or holds nothing, as a mount point does without its disk; null for none. */
async function firstGone(folders: readonly string[]): Promise<string | null> {
  for (const folder of folders) {
    const listed = await opendir(onDisk(folder)).catch(() => null);
    const first = await listed?.read().catch(() => null);
    await listed?.close().catch(() => {});
    if (!first) return folder;
  }
  return null;
}

/** Calls at most ten times a second, and always for the last file. */
export function throttle(onProgress: ScanOptions['onProgress']): (progress: ImportProgress) => void {
  let last = 0;
  return (progress) => {
    const now = performance.now();
    const finished = progress.total > 0 && progress.done === progress.total;
    if (now - last < 100 && !finished) return;
    last = now;
    onProgress?.(progress);
  };
}
