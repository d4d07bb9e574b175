import type { LookupAccuracy, LookupView, ProbeAnswer } from '../../shared/contract/explore.ts';
import type { Network } from './network.ts';

/** Networks that are asked, each with all its heads. */
export interface LookupNetworks {
  student: Network;
  teacher: Network;
}

/** Images that are asked together: a BatchNorm takes its statistics of all of them. */
export interface LookupBatch {
  /** `[batch, side, side, 3]`, normalised. */
  images: Float32Array;
  /** `[K]` each, 1 = masked. */
  masks: readonly Uint8Array[];
}

/** The answer at one masked patch, and how likely the student held it to be. */
export interface MaskedAnswer extends ProbeAnswer {
  /** Of the best. */
  probability: number;
}

/**
 * Look-ups of masked patches by methods/NAME/lookups.ts: where in an image is the patch that is not seen? The house reads
 * images, draws masks, and keeps and shows what is answered.
 */
export interface Lookups<Config> {
  /** Of the first image of a batch: every answer. The others keep it company. */
  view(
    networks: LookupNetworks,
    batch: LookupBatch,
    config: Config,
  ): Pick<LookupView, 'temperature' | 'answers' | 'how'>;
  /** Of each image of a batch the answers at its masked patches. */
  answers(networks: LookupNetworks, batch: LookupBatch, config: Config): MaskedAnswer[][];
  /** Shares of the masked patches of a batch, by the key of an evaluation's figure. */
  score(networks: LookupNetworks, batch: LookupBatch, config: Config): Record<string, number>;
  /** How an evaluation asks, beside what is said of every evaluation. @param batch images that are asked together */
  settings(config: Config, batch: number): Record<string, unknown>;
  /** Where, and on what, answers are right, over many images. */
  tally(config: Config): LookupTally;
}

/** Sums of `LookupAccuracy`. */
export interface LookupTally {
  /** @param pixels `[side, side, 3]` each, 0 to 255: the images of the batch */
  add(
    networks: Record<'trained' | 'untrained', LookupNetworks>,
    batch: LookupBatch,
    pixels: readonly Uint8Array[],
  ): void;
  result(): Pick<LookupAccuracy, 'places' | 'content' | 'trained' | 'untrained'>;
}
