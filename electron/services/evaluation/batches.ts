import { drawMask } from '../../../methods/index.ts';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import { patchesOf, type RunConfig } from '../../../shared/config.ts';
import { stream } from '../../data/random.ts';
import type { ImageReader, Readable } from '../../data/readable.ts';
import type { Store } from '../../store/store.ts';
import { inOrderOfContent, usableImages } from '../../trainer/labelled.ts';
import { isHeldOut } from '../../trainer/training-images.ts';
import { centreImage, stack } from '../ground/pictures.ts';

/** Seed of the masks of an evaluation: fixed, so that checkpoints are asked the same. */
const MASK_SEED = 20220519;
const MOST_IMAGES = 64;

/** Images that are asked together, at most: as many as in training, whose BatchNorm saw no more. */
export const batchOf = ({ train }: RunConfig) => Math.min(train.batch_size, MOST_IMAGES);

/** Images of a dataset; where a run learned from it and kept some, those (`own`). */
export function heldOutImages(store: Store, { run_id, config }: Checkpoint, name: string | number) {
  const dataset = store.datasets.get(name);
  const own = store.runs.get(run_id).dataset_id === dataset.id && config.data.holdout > 0;
  return { own, images: usableImages(store, dataset.id, (image) => !own || isHeldOut(image, config.data.holdout)) };
}

/** An image that is asked about. */
export interface Asked extends Readable {
  /** SHA-256 of its content. */
  hash: string;
}

/** Images as networks are asked about them. */
export interface AskedBatch {
  /** `[batch, side, side, 3]`, normalised: the middle squares. */
  images: Float32Array;
  /** `[K]` each, 1 = hidden; of zeros where the method hides nothing. */
  masks: Uint8Array[];
}

/**
 * Images with masks, batch by batch, the same each time: masks and order follow from the images' contents, so that one
 * that is left out changes nothing for the others but their company. What is asked of the next image of a batch is asked
 * of any: in the order of their folders that would often be one of the same class, or of the same scene.
 * @param least a last batch of fewer is left out
 */
export async function* inBatches(
  config: RunConfig,
  images: readonly Asked[],
  reader: ImageReader,
  least: number,
): AsyncGenerator<AskedBatch> {
  const { model, augment } = config;
  const read = (file: string) => centreImage(file, model.image_size, augment);
  for await (const batch of readableBatches(inOrderOfContent(images), batchOf(config), reader, read)) {
    if (batch.length < least) break;
    yield {
      images: stack(batch.map(({ value }) => value)),
      masks: batch.map(
        ({ image }) =>
          drawMask(config, stream(MASK_SEED, 0, image.hash, 'evaluation mask')) ?? new Uint8Array(patchesOf(model)),
      ),
    };
  }
}

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
