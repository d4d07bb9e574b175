import { mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gridOf, patchesOf } from '../../../shared/config.ts';
import type { ImageRow } from '../../../shared/domain.ts';
import { AppError } from '../../../shared/errors.ts';
import { FrozenNetwork } from '../../engine/inference.ts';
import type { Store } from '../../store/store.ts';
import { untrainedState } from '../../trainer/training.ts';
import { poolTokens } from '../evaluation-classes.ts';
import { centreImage, stack } from '../images.ts';
import {
  type EmbeddingFormat,
  type EmbeddingWriter,
  embeddingWriter,
  partialFiles,
  type RowOf,
  removePartial,
} from './writers.ts';

export interface EmbeddingOptions {
  checkpoint: number;
  dataset: string | number;
  part: 'student' | 'teacher' | 'untrained';
  /** Of images the mean of the patch tokens, or CLS; of patches their tokens, or the projector's features. */
  feature: 'mean' | 'cls' | 'tokens' | 'projector';
  format: EmbeddingFormat;
  file: string;
}

export interface EmbeddingReport {
  file: string;
  /** Files beside it. */
  beside: string[];
  rows: number;
  width: number;
  images: number;
  /** Images that could not be read, and are not in the file. */
  unreadable: { path: string; why: string }[];
  bytes: number;
}

const BATCH = 32;

/**
 * Writes embeddings of a dataset's images, or of all their patches, to one file, row by row, so that any number of them
 * fits into memory. The file is there when it is complete; what is cut short leaves nothing.
 * @throws AppError not-found; bad-input where the folder cannot be written, or no image can be read
 */
export async function exportEmbeddings(
  store: Store,
  options: EmbeddingOptions,
  {
    signal,
    onProgress,
  }: { signal?: AbortSignal; onProgress?: (done: number, total: number, what: string) => void } = {},
): Promise<EmbeddingReport> {
  const { id, config } = store.checkpoints.get(options.checkpoint);
  const { model } = config;
  const dataset = store.datasets.get(options.dataset);
  const images = [...store.images.iterate(dataset.id, { status: 'ok' })];
  const ofPatches = options.feature === 'tokens' || options.feature === 'projector';
  const width = options.feature === 'projector' ? config.projector.out : model.embed_dim;
  const [K, grid] = [patchesOf(model), gridOf(model)];
  const state = options.part === 'untrained' ? untrainedState(config) : store.checkpoints.load(id, options.part);
  const network = new FrozenNetwork(model, config.projector, state);
  const [partial] = partialFiles(options);
  const writer = openWriter(options.format, partial, width, ofPatches);
  const report: EmbeddingReport = {
    ...{ file: options.file, beside: [], rows: 0, width, images: 0, unreadable: [], bytes: 0 },
  };
  const rowsOf = ({ id: image, path, label }: ImageRow): RowOf[] =>
    ofPatches
      ? Array.from({ length: K }, (_, p) => ({
          image,
          path,
          label,
          row: Math.floor(p / grid) + 1,
          column: (p % grid) + 1,
        }))
      : [{ image, path, label, row: null, column: null }];
  let written: string[] = [];
  try {
    for (let at = 0; at < images.length; at += BATCH) {
      signal?.throwIfAborted();
      const some = images.slice(at, at + BATCH);
      const read = await Promise.allSettled(
        some.map(({ folder, path }) =>
          centreImage(join(dataset.folders[folder]!, path), model.image_size, config.augment),
        ),
      );
      const good = some.flatMap((image, i) => {
        const one = read[i]!;
        if (one.status === 'fulfilled') return [{ image, pixels: one.value }];
        const { message, why } = one.reason as AppError;
        report.unreadable.push({ path: image.path, why: why || message });
        return [];
      });
      if (good.length > 0) {
        const input = stack(good.map(({ pixels }) => pixels));
        const values = ofPatches
          ? network.patches(input, options.feature)
          : poolTokens(network.tokens(input), good.length, K, model.embed_dim)[options.feature as 'mean' | 'cls'];
        const rows = good.flatMap(({ image }) => rowsOf(image));
        writer.write(rows, values);
        report.rows += rows.length;
        report.images += good.length;
      }
      onProgress?.(at + some.length, images.length, 'images');
    }
    if (report.rows === 0)
      throw new AppError('bad-input', `No image of "${dataset.name}" can be read.`, '', 'Look at its folders.');
    written = writer.close();
  } catch (error) {
    writer.abandon();
    removePartial(options);
    throw error;
  } finally {
    network.dispose();
  }
  // What stands beside goes first: a file that is there has all that belongs to it.
  for (const file of written) {
    const target = `${options.file.replace(/\.npy$/, '')}.index.csv`;
    renameSync(file, target);
    report.beside.push(target);
  }
  renameSync(partial, options.file);
  report.bytes = statSync(options.file).size;
  return report;
}

function openWriter(format: EmbeddingFormat, file: string, width: number, ofPatches: boolean): EmbeddingWriter {
  try {
    mkdirSync(dirname(file), { recursive: true });
    return embeddingWriter(format, file, width, ofPatches);
  } catch (error) {
    const { message } = error as Error;
    throw new AppError('bad-input', `${dirname(file)} cannot be written to.`, message, 'Choose another folder.', {
      cause: error,
    });
  }
}
