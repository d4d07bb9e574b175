import { augmentSchema, modelSchema, type RunConfig } from './config.ts';

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
  /** Hash of the source file, as the dataset knew it. */
  hash: string;
  /** Checksum of the pixels; null where an older version kept none. */
  crc32: number | null;
}

/** Sizes are multiples of this, pixels. */
const STEP = 32;

/**
 * The shorter side at which images lose little for a configuration: where the mean random crop of a photograph of 4:3 has
 * about as many pixels as the network takes, so that about half of the crops are not enlarged. A crop of share s of a
 * w by h image has a side of sqrt(s w h), and h = 3/4 w.
 */
export function preparedSize({ model, augment }: Pick<RunConfig, 'model' | 'augment'>): number {
  const [least, most] = augment.crop_scale;
  const side = model.image_size / Math.sqrt(((least + most) / 2) * (4 / 3));
  return Math.max(Math.ceil(model.image_size / STEP), Math.round(side / STEP)) * STEP;
}

/** Of the published recipes: 256 for 224 pixels and crops of 0.08 to 1 of the image. */
export const DEFAULT_PREPARED_SIZE = preparedSize({ model: modelSchema.parse({}), augment: augmentSchema.parse({}) });
