import type * as tf from '@tensorflow/tfjs-core';
import type { Images } from './layers/embed.ts';
import type { Network } from './network.ts';

/** What a method is asked of one image. */
export interface AskedOf {
  /** `[side, side, 3]`, as the image is, 0 to 255. */
  pixels: Uint8Array;
  /** `[side, side, 3]`, the same, normalised. */
  image: Float32Array;
  /** `[K]`, 1 = hidden; of a method that hides nothing all 0. */
  mask: Uint8Array;
  /** The moving average of the network; null for a method that has none. */
  teacher?: Network | null;
  /** Where more than one image is asked: each view of the run, `[images, side, side, 3]`, normalised, this image's first. */
  batch?: Readonly<Record<string, Float32Array>> | null;
}

/** What it answers, each by the keys of its description. */
export interface Explained {
  /** `[side, side, 3]` each. */
  pictures: Record<string, Uint8Array>;
  /** `[K]` each, a number of every patch; null where there is none. */
  maps: Record<string, (number | null)[]>;
  figures: Record<string, number>;
  /** Of an answer about several images, row by row: of the first view of every image, then of the next. */
  pairs?: Record<string, number[]>;
  /** How to read it, in a sentence or two. */
  words: string;
}

/**
 * An explanation of methods/NAME/explain.ts: what a network makes of an image. It runs within a tidy, and gives arrays.
 * @param network the one that is trained, with all its heads
 * @throws AppError bad-input for a mask that cannot be asked
 */
export type Explain<Config> = (network: Network, asked: AskedOf, config: Config) => Explained;

/**
 * What methods/NAME/explain.ts sorts images into: how much each belongs to each group, of which the greatest is its own. It
 * runs within a tidy. @param images `[batch, side, side, 3]`, normalised
 * @returns `[batch, groups]`, or of patches `[batch * K, groups]`, image by image
 */
export type Assign<Config> = (network: Network, images: Images, config: Config) => tf.Tensor2D;
