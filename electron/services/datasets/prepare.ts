import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { PreparePlan, PrepareSummary } from '../../../shared/contract/datasets.ts';
import type { Dataset, ImageRow } from '../../../shared/dataset.ts';
import { AppError } from '../../../shared/errors.ts';
import type { PreparedSet } from '../../../shared/prepared.ts';
import { bytes } from '../../../shared/words.ts';
import { BATCH, prepareFiles, THREADS } from '../../data/prepare-pool.ts';
import { downsizedSides, pixelBytes } from '../../data/prepared.ts';
import { fileOf } from '../../store/image-file.ts';
import type { Store } from '../../store/store.ts';
import type { PrepareAsked } from '../ground/jobs.ts';
import { datasetFolderMissing } from './datasets.ts';
import {
  claimSet,
  forgetDamaged,
  forgetLost,
  PreparedWriter,
  sweepPrepared,
  tidyFiles,
  type WriterLimits,
} from './prepared-files.ts';

/** Free space that is left to others, bytes. */
const RESERVE = 500e6;
/** Batches that `measurePrepare` has each thread decode. */
const MEASURED = 4;
/** Files whose fault is kept in words; further ones are only counted. */
const KEPT_FAULTS = 20;

export interface PrepareOptions extends PrepareAsked, WriterLimits {
  /** Images done, of all: first those that are prepared, then those that are moved to give back space. */
  onProgress?: ((done: number, total: number, phase: string) => void) | undefined;
  /** Ends it; what was prepared stays, and the next call goes on from there. */
  signal?: AbortSignal | undefined;
}

type FileToPrepare = { path: string; bytes: number; mtime: number; row: ImageRow };

/** What preparing a dataset would take, by the sizes that its images have. @throws AppError not-found */
export function planPrepare(store: Store, { dataset, size }: Pick<PrepareOptions, 'dataset' | 'size'>): PreparePlan {
  const { id, name } = store.datasets.get(dataset);
  const set = store.prepared.find(id, size);
  const missing = store.prepared.missingSizes(id, set?.id ?? null);
  const bytesOf = (image: { width: number; height: number }) =>
    pixelBytes(downsizedSides(image.width, image.height, size));
  const { bavail, bsize } = statfsSync(dirname(store.path));
  return {
    dataset: name,
    size,
    ready: set?.images ?? 0,
    images: missing.reduce((sum, { count }) => sum + count, 0),
    bytes: missing.reduce((sum, { count, ...image }) => sum + count * bytesOf(image), 0),
    free: bavail * bsize,
  };
}

/**
 * Images a second that this machine prepares, measured on some that are not prepared yet, spread evenly; null where all
 * are. For few images it includes the time in which threads start, as preparing them does.
 */
export async function measurePrepare(
  store: Store,
  { dataset, size, signal }: Pick<PrepareOptions, 'dataset' | 'size' | 'signal'>,
): Promise<number | null> {
  const found = store.datasets.get(dataset);
  const missing = missingImages(store, found.id, store.prepared.find(found.id, size));
  const most = Math.min(missing.length, MEASURED * THREADS * BATCH);
  const rows = Array.from({ length: most }, (_, i) => missing[Math.floor((i * missing.length) / most)]!);
  const starting = most >= 2 * THREADS * BATCH ? THREADS : 0;
  let [began, done, batches] = [performance.now(), 0, 0];
  for await (const batch of prepareFiles(filesToPrepare(found, rows), { size, signal })) {
    // Threads take a while to start, once.
    if (++batches <= starting) began = performance.now();
    else done += batch.length;
  }
  if (signal?.aborted) throw new AppError('canceled', 'The estimate was canceled.');
  return done > 0 ? (1000 * done) / (performance.now() - began) : null;
}

/**
 * Keeps a dataset's images decoded and downsized in files of the home folder. Images that are kept already are skipped:
 * after a kill, the next call goes on after the last whole chunk.
 * @throws AppError not-found, conflict (another process prepares it), bad-input (no room on the disk), data-vanished (its
 * folder is gone), bad-file (the disk cannot be written), canceled
 */
export async function prepareDataset(store: Store, options: PrepareOptions): Promise<PrepareSummary> {
  const dataset = store.datasets.get(options.dataset);
  const began = performance.now();
  requireFolders(dataset);
  requireRoom(planPrepare(store, options));
  sweepPrepared(store);
  const { id } = store.prepared.ensure(dataset.id, options.size);
  const release = claimSet(store, id);
  const filled = await fill(store, dataset, store.prepared.get(id), options).finally(release);
  return { set: store.prepared.get(id), ...filled, seconds: (performance.now() - began) / 1000 };
}

/** Prepares what a set lacks, and gives back what is wasted. */
async function fill(
  store: Store,
  dataset: Dataset,
  set: PreparedSet,
  { signal, onProgress, ...limits }: PrepareOptions,
): Promise<Omit<PrepareSummary, 'set' | 'seconds'>> {
  const writer = new PreparedWriter(store, set, limits);
  forgetLost(store, set.id);
  const damaged = await forgetDamaged(store, set.id, { onProgress, signal });
  const files = filesToPrepare(dataset, missingImages(store, dataset.id, set));
  const failed: PrepareSummary['failed'] = [];
  let [done, failures] = [0, 0];
  onProgress?.(0, files.length, 'preparing');
  try {
    for await (const batch of prepareFiles(files, { size: set.size, signal })) {
      for (const { file, result } of batch) {
        if ('data' in result) {
          await writer.append(file.row.id, file.row.hash, result);
          continue;
        }
        if (result.fault === 'gone') requireFolders(dataset);
        failures++;
        if (failed.length < KEPT_FAULTS) failed.push({ path: file.row.path, why: result.why });
      }
      done += batch.length;
      onProgress?.(done, files.length, 'preparing');
    }
    if (done < files.length) throw canceled(done - failures, files.length);
    const freed = await tidyFiles(store, set.id, writer, { onProgress, signal });
    return { added: done - failures, failed, failures, damaged, freed };
  } finally {
    await writer.close();
  }
}

const canceled = (done: number, total: number) =>
  new AppError(
    'canceled',
    `Preparing was canceled after ${done} of ${total} images.`,
    '',
    'Prepare again to go on from there.',
  );

/** Usable images that are not in the set, or have changed since. */
function missingImages(store: Store, datasetId: number, set: PreparedSet | null): ImageRow[] {
  const there = new Set(set ? store.prepared.images(set.id).map(({ image_id }) => image_id) : []);
  const missing: ImageRow[] = [];
  for (const row of store.images.iterate(datasetId, { status: 'ok' })) if (!there.has(row.id)) missing.push(row);
  return missing;
}

const filesToPrepare = ({ folders }: Dataset, rows: ImageRow[]): FileToPrepare[] =>
  rows.map((row) => ({ path: fileOf({ folders }, row), bytes: row.bytes, mtime: row.mtime, row }));

function requireFolders(dataset: Dataset): void {
  const gone = datasetFolderMissing(dataset);
  if (gone === null) return;
  throw new AppError('data-vanished', `The folder ${gone} is not there.`, '', 'Connect its disk, and prepare again.');
}

function requireRoom(plan: PreparePlan): void {
  if (plan.bytes + RESERVE <= plan.free || plan.bytes === 0) return;
  throw new AppError(
    'bad-input',
    'There is not enough room on the disk.',
    `The images take ${bytes(plan.bytes)}, and ${bytes(plan.free)} are free, of which ${bytes(RESERVE)} are left to others.`,
    'Free some, name a smaller --size, or a home folder on another disk.',
  );
}
