import * as tf from '@tensorflow/tfjs-core';
import { chanceOf, lookupsIn, lookupsOf, methodOf, requireMask } from '../../../methods/index.ts';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import { patchesOf, type RunConfig } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import type { Scored } from '../../../shared/evaluation.ts';
import { leftOutWords } from '../../../shared/left-out.ts';
import type { LookupConfig } from '../../../shared/method.ts';
import type { StateDict } from '../../../shared/tensors.ts';
import { stream } from '../../data/random.ts';
import { type ImageReader, onReadable, type Readable } from '../../data/readable.ts';
import { lookup } from '../../engine/contrast.ts';
import { FrozenNetwork } from '../../engine/inference.ts';
import { projectorIndex } from '../../engine/parameters.ts';
import type { Store } from '../../store/store.ts';
import { usableImages } from '../../trainer/labelled.ts';
import { isHeldOut } from '../../trainer/training-images.ts';
import { centreImage, stack } from '../ground/pictures.ts';
import type { Contestant } from './contestants.ts';
import type { EvaluateOptions } from './types.ts';

/** Seed of the masks of an evaluation: fixed, so that checkpoints are asked the same. */
const MASK_SEED = 20220519;
const MOST_IMAGES = 64;

/** Look-ups of networks on images that they did not train on, where the run kept some. */
export async function evaluateLookups(
  store: Store,
  networks: readonly Contestant[],
  options: EvaluateOptions,
): Promise<Scored> {
  const [{ checkpoint, config }] = networks as [Contestant];
  lookupsIn(checkpoint); // says why there are none
  const { images, own } = heldOutImages(store, checkpoint, options.dataset);
  if (images.length < 2)
    throw new AppError(
      'bad-input',
      'A look-up on held-out images needs at least two of them.',
      '',
      'Name a dataset with more images.',
    );
  const chances: Partial<Record<Contestant['start'], number>> = {};
  const { value, leftOut } = await onReadable(async (reader) => {
    const scores: Scored['scores'] = {};
    let asked = 0;
    for (const [i, { start, checkpoint, config, load }] of networks.entries()) {
      if (!hasLookups(checkpoint)) continue; // imported weights without a projector have no keys to look among
      const student = load('student');
      if (!hasProjector(student, config)) continue;
      const found = await askBatches(config, student, load('teacher'), images, reader, options.signal, (_, done) =>
        options.onProgress?.(i * images.length + done, networks.length * images.length, `${start} network`),
      );
      reader.settle();
      asked ||= found.images;
      scores[start] = { top1: found.top1, top5: found.top5, top1_control: found.control };
      chances[start] = chanceIn(config);
    }
    return { scores, asked };
  });
  return {
    train_images: 0,
    test_images: value.asked,
    classes: null,
    chance: chances.trained!,
    scores: value.scores,
    left_out: leftOut,
    notices: [leftOutWords(leftOut, images.length)].filter(Boolean),
    settings: {
      K: patchesOf(config.model),
      held_out: own,
      views: 'middle square, not augmented',
      batch_norm: `statistics of batches of ${batchOf(config)}`,
      mask: config.mask,
      // Another model may have another K.
      ...(chances.official !== undefined && { chance_official: chances.official }),
    },
  };
}

const batchOf = ({ train }: RunConfig) => Math.min(train.batch_size, MOST_IMAGES);

/** Images of a dataset; where a run learned from it and kept some, those (`own`). */
export function heldOutImages(store: Store, { run_id, config }: Checkpoint, name: string | number) {
  const dataset = store.datasets.get(name);
  const own = store.runs.get(run_id).dataset_id === dataset.id && config.data.holdout > 0;
  return { own, images: usableImages(store, dataset.id, (image) => !own || isHeldOut(image, config.data.holdout)) };
}

/** What guessing finds. */
export const chanceIn = (config: RunConfig) => chanceOf({ config }, { batch: batchOf(config) }).figures.top1!;

/** Whether a checkpoint's networks can be asked for look-ups. */
const hasLookups = ({ config, lacks }: Checkpoint) => methodOf(config).lookups !== null && lacks.length === 0;

/** An older program put zeros where a file had no projector, and did not say so. */
const hasProjector = (state: StateDict, config: RunConfig) =>
  state
    .get(`projectors.${projectorIndex(lookupsOf(config).projector.layers - 1).linear}.weight`)!
    .data.some((v) => v !== 0);

/** A batch that was asked; its tensors live as long as the call that shows it. */
export interface AskedBatch {
  size: number;
  student: FrozenNetwork;
  /** `[size, side, side, 3]`, normalised. */
  input: Float32Array;
  /** `[size * K]`, 1 = masked. */
  mask: Float32Array;
  /** `[size, K, out]`, on the statistics of the batch. */
  queries: tf.Tensor3D;
  keys: tf.Tensor3D;
}

/**
 * Asks networks for look-ups on images, batch by batch, with masks and an order that are the same each time: both follow
 * from the images' contents, so that one that is left out changes nothing for the others but their company. The control
 * asks the next image of the batch: in the order of their folders that would often be one of the same class, or of the
 * same scene, and so not show what position alone gives.
 * @throws AppError bad-input where fewer than two images can be read
 */
export async function askBatches(
  config: RunConfig,
  studentState: StateDict,
  teacherState: StateDict,
  images: readonly Asked[],
  reader: ImageReader,
  signal: AbortSignal | undefined,
  onBatch: (batch: AskedBatch, done: number) => void,
  /** Another dictionary than the run's. */
  within: Partial<LookupConfig['contrast']> = {},
) {
  const { model } = config;
  const { projector, contrast: own } = lookupsOf(config);
  const contrast = { ...own, ...within };
  const [K, most] = [patchesOf(model), batchOf(config)];
  const order = inOrderOfContent(images);
  const student = new FrozenNetwork(model, projector, studentState);
  const teacher = new FrozenNetwork(model, projector, teacherState);
  const sum = { top1: 0, top5: 0, control: 0, images: 0 };
  try {
    for await (const batch of readableBatches(order, most, reader, (file) =>
      centreImage(file, model.image_size, config.augment),
    )) {
      signal?.throwIfAborted();
      const size = batch.length;
      if (size < 2) break; // BatchNorm and the control need company
      const input = stack(batch.map(({ value }) => value));
      const mask = new Float32Array(size * K);
      batch.forEach(({ image }, i) => {
        mask.set(requireMask(config, stream(MASK_SEED, 0, image.hash, 'evaluation mask')), i * K);
      });
      const [queries, keys] = [student.features(input, mask, 'batch'), teacher.features(input, null, 'batch')];
      const masked = tf.tensor2d(mask, [size, K]);
      const found = lookup(queries, keys, masked, contrast);
      sum.top1 += found.top1 * size;
      sum.top5 += found.top5 * size;
      sum.control += (found.top1_control ?? 0) * size;
      sum.images += size;
      onBatch({ size, student, input, mask, queries, keys }, sum.images);
      tf.dispose([queries, keys, masked]);
    }
  } finally {
    student.dispose();
    teacher.dispose();
  }
  if (sum.images === 0) {
    const [first] = reader.leftOut;
    const why = first ? `${reader.leftOut.length} cannot be read; the first is ${first.path}.` : '';
    throw new AppError('bad-input', 'Look-ups need two images that can be read.', why, 'Check the folder.');
  }
  const share = (value: number) => value / sum.images;
  return { images: sum.images, top1: share(sum.top1), top5: share(sum.top5), control: share(sum.control) };
}

/** An image that is asked about. */
export interface Asked extends Readable {
  /** SHA-256 of its content. */
  hash: string;
}

/** An order that has nothing to do with folders or names, and stays where others are added. */
export const inOrderOfContent = <I extends Pick<Asked, 'hash'>>(images: readonly I[]): I[] =>
  images.toSorted((a, b) => (a.hash < b.hash ? -1 : a.hash > b.hash ? 1 : 0));

/** Images in batches that are full but for the last, whatever cannot be read. */
export async function* readableBatches<I extends Readable, T>(
  images: readonly I[],
  size: number,
  reader: ImageReader,
  read: (file: string) => Promise<T>,
): AsyncGenerator<{ image: I; value: T }[]> {
  let batch: { image: I; value: T }[] = [];
  for (let at = 0; at < images.length; ) {
    const some = images.slice(at, at + size - batch.length);
    at += some.length;
    batch.push(...(await reader.read(some, read)));
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
