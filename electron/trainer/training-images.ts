import type { RunConfig } from '../../shared/config.ts';
import type { Dataset, ImageRow } from '../../shared/dataset.ts';
import { samplesOf } from '../data/loader.ts';
import { fileOf } from '../store/image-file.ts';
import type { Store } from '../store/store.ts';

/** An image that a run trains on. */
export interface TrainingImage {
  id: number;
  path: string;
  /** SHA-256 of its content. */
  hash: string;
}

/** Whether an image is kept from training: by its content, so that a copy elsewhere falls on the same side. */
export function isHeldOut(image: Pick<ImageRow, 'hash'>, holdout: number): boolean {
  return Number.parseInt(image.hash.slice(-8), 16) / 2 ** 32 < holdout;
}

/** A dataset's usable images, in a fixed order; those of one side of the holdout. */
export function imagesOf(store: Store, dataset: Dataset, keep: (image: ImageRow) => boolean): TrainingImage[] {
  const images: TrainingImage[] = [];
  for (const image of store.images.iterate(dataset.id, { status: 'ok' })) {
    const { id, hash } = image;
    if (keep(image)) images.push({ id, hash, path: fileOf(dataset, image) });
  }
  return images;
}

/** How many images of a dataset a run trains on: those that are not held out. */
export const countImages = (store: Store, dataset: Dataset, { data }: Pick<RunConfig, 'data'>): number =>
  data.holdout === 0
    ? dataset.image_count // quick with 100,000
    : imagesOf(store, dataset, (image) => !isHeldOut(image, data.holdout)).length;

/** Optimizer steps of an epoch: as many as see every image once, and so seldom a whole number. */
export const stepsPerEpoch = (images: number, { train }: Pick<RunConfig, 'train'>): number =>
  samplesOf(images, { train }) / (train.batch_size * train.accumulation);

/** Whole steps of some epochs, to the nearest; at least one. */
export const stepsOf = (epochs: number, perEpoch: number): number => Math.max(1, Math.round(epochs * perEpoch));

/** Optimizer steps of a run. */
export const totalSteps = (images: number, { train }: Pick<RunConfig, 'train'>): number =>
  train.steps ?? stepsOf(train.epochs, stepsPerEpoch(images, { train }));
