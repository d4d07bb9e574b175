import { createHash } from 'node:crypto';
import { rmSync, statSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import { projectorOf } from '../../../methods/index.ts';
import { gridOf, patchesOf, type RunConfig } from '../../../shared/config.ts';
import type { EmbeddingReport } from '../../../shared/contract/export.ts';
import type { Dataset, ImageRow } from '../../../shared/dataset.ts';
import { AppError } from '../../../shared/errors.ts';
import type { StateDict } from '../../../shared/tensors.ts';
import { ImageReader } from '../../data/readable.ts';
import { FrozenNetwork } from '../../engine/inference.ts';
import { poolTokens } from '../../engine/pooled.ts';
import { putInPlace, syncFile } from '../../files/files.ts';
import { requireOutput } from '../../files/outputs.ts';
import { fileOf } from '../../store/image-file.ts';
import type { Store } from '../../store/store.ts';
import { untrainedState } from '../../trainer/training.ts';
import { extractFeatures } from '../ground/features.ts';
import type { EmbeddingAsked } from '../ground/jobs.ts';
import { EmbeddingPart } from './part.ts';
import { besideEmbeddings, embeddingWriter, type RowOf } from './writers.ts';

interface Control {
  signal?: AbortSignal;
  onProgress?: (done: number, total: number, what: string) => void;
}

/**
 * Writes embeddings of a dataset's images, or of all their patches, to one file. Values are kept chunk by chunk in
 * `FILE.part` first, so that any number of them fits into memory. An export that was cut short, by an abort or a crash,
 * goes on after the last whole chunk when it is asked for again; where something else is asked for under this name, it
 * begins anew. The file appears when it is complete, and is the same to the last byte.
 * @throws AppError as `requireOutput`; not-found; bad-input where no image can be read; conflict while another process
 *   writes this file; canceled
 */
export async function exportEmbeddings(
  store: Store,
  options: EmbeddingAsked,
  control: Control = {},
): Promise<EmbeddingReport> {
  const { replace = false } = options;
  requireOutput(options.file, {
    endings: [`.${options.format}`],
    beside: besideEmbeddings(options.file, options.format),
    replace,
  });
  const { id, config } = store.checkpoints.get(options.checkpoint);
  const dataset = store.datasets.get(options.dataset);
  const images = [...store.images.iterate(dataset.id, { status: 'ok' })];
  const state = options.part === 'untrained' ? untrainedState(config) : store.checkpoints.load(id, options.part);
  const network = new FrozenNetwork(config.model, config.projector, state);
  const isOfPatches = options.feature === 'tokens' || options.feature === 'projector';
  const width = options.feature === 'projector' ? projectorOf(config).out : config.model.embed_dim;
  const rows = isOfPatches ? patchesOf(config.model) : 1;
  let part: EmbeddingPart | null = null;
  try {
    part = new EmbeddingPart(options.file, keyOf(options, config, state, dataset, images), rows * width);
    const resumed = part.images;
    await compute(part, network, { ...options, config, dataset, images, isOfPatches }, control);
    const unreadable = part.chunks.flatMap((chunk) => chunk.unreadable.map(({ path, why }) => ({ path, why })));
    const good = images.length - unreadable.length;
    if (good === 0) {
      part.remove();
      part = null;
      throw new AppError('bad-input', `No image of "${dataset.name}" can be read.`, '', 'Look at its folders.');
    }
    const beside = await writeFile(
      part,
      images,
      { ...options, width, grid: isOfPatches ? gridOf(config.model) : null },
      control,
    );
    part.remove();
    part = null;
    return {
      file: options.file,
      beside,
      rows: good * rows,
      width,
      images: good,
      unreadable,
      resumed,
      bytes: statSync(options.file).size,
    };
  } catch (error) {
    if (error instanceof AppError || !(error as NodeJS.ErrnoException).syscall) throw error;
    const { message } = error as Error;
    const next = 'Free disk space, or name another place; under the same name it goes on with what was computed.';
    throw new AppError('bad-input', `${options.file} cannot be written.`, message, next, { cause: error });
  } finally {
    part?.close();
    network.dispose();
  }
}

const canceled = (part: EmbeddingPart, at: number, total: number) =>
  new AppError(
    'canceled',
    'The export was ended.',
    at > 0 ? `What was computed of ${at} of ${total} images is kept in ${part.folder}.` : '',
    at > 0 ? 'The same export goes on from there.' : '',
  );

/** All that values depend on: the images, in their order, the weights and how they are asked. */
function keyOf(
  { part, feature }: EmbeddingAsked,
  { model, projector, augment }: RunConfig,
  state: StateDict,
  dataset: Dataset,
  images: readonly ImageRow[],
): string {
  const weights = createHash('sha256').update(JSON.stringify({ model, projector, augment }));
  for (const [name, { shape, data }] of state)
    weights.update(`${name} ${shape}`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  const files = createHash('sha256').update(JSON.stringify(dataset.folders));
  for (const { id, folder, path, hash, label } of images) files.update(JSON.stringify([id, folder, path, hash, label]));
  const hashes = { weights: weights.digest('hex'), images: files.digest('hex') };
  return JSON.stringify({ version: 1, part, feature, backend: tf.getBackend(), ...hashes }, null, 1);
}

/** Computes the chunks that are missing. */
async function compute(
  part: EmbeddingPart,
  network: FrozenNetwork,
  asked: Pick<EmbeddingAsked, 'feature'> & {
    config: RunConfig;
    dataset: Dataset;
    images: readonly ImageRow[];
    isOfPatches: boolean;
  },
  { signal, onProgress }: Control,
): Promise<void> {
  const { config, dataset, images, feature, isOfPatches } = asked;
  const { model, augment } = config;
  const encode = (input: Float32Array, n: number) =>
    isOfPatches
      ? network.patches(input, feature)
      : poolTokens(network.tokens(input), n, patchesOf(model), model.embed_dim)[feature as 'mean' | 'cls'];
  const onDone = (done: number) => onProgress?.(done, images.length, 'images');
  onDone(part.images);
  try {
    await extractFeatures({
      images,
      reader: new ImageReader(),
      signal,
      onDone,
      fileOf: (image) => fileOf(dataset, image),
      encoder: { side: model.image_size, augment, encode: (input, n) => [encode(input, n)] },
      sink: {
        get images() {
          return part.images;
        },
        add: ({ read, unread, features: [values = new Float32Array()] }) => {
          const unreadable = unread.map(({ image: { id, path }, why }) => ({ id, path, why }));
          part.append({ images: read.length + unread.length, unreadable }, values);
        },
      },
    });
  } catch (error) {
    throw signal?.aborted && error === signal.reason ? canceled(part, part.images, images.length) : error;
  }
}

/** Puts the file together from its chunks. @returns files beside it */
async function writeFile(
  part: EmbeddingPart,
  images: readonly ImageRow[],
  { format, file, width, grid, replace = false }: EmbeddingAsked & { width: number; grid: number | null },
  { signal, onProgress }: Control,
): Promise<string[]> {
  const partial = part.at(`file.${format}`);
  const writer = embeddingWriter(format, partial, width, grid !== null);
  const rowsOf = ({ id: image, path, label }: ImageRow): RowOf[] =>
    grid === null
      ? [{ image, path, label, row: null, column: null }]
      : Array.from({ length: grid * grid }, (_, p) => ({
          image,
          path,
          label,
          row: Math.floor(p / grid) + 1,
          column: (p % grid) + 1,
        }));
  let written: string[];
  try {
    let at = 0;
    for (const { chunk, values } of part.read()) {
      await new Promise(setImmediate); // lets messages through
      if (signal?.aborted) throw canceled(part, part.images, images.length);
      const without = new Set(chunk.unreadable.map(({ id }) => id));
      const good = images.slice(at, at + chunk.images).filter(({ id }) => !without.has(id));
      if (good.length > 0) writer.write(good.flatMap(rowsOf), values);
      at += chunk.images;
      onProgress?.(at, images.length, 'images, written');
    }
    written = writer.close();
  } catch (error) {
    writer.abandon();
    throw error;
  }
  for (const one of [partial, ...written]) syncFile(one); // what was computed is removed afterwards
  // The files beside it are put in place first: once the embeddings are there, all of it is.
  const placed: string[] = [];
  try {
    for (const [i, target] of besideEmbeddings(file, format).entries()) {
      putInPlace(written[i]!, target, { replace });
      placed.push(target);
    }
    putInPlace(partial, file, { replace });
  } catch (error) {
    for (const one of placed) rmSync(one, { force: true });
    throw error;
  }
  return placed;
}
