import * as tf from '@tensorflow/tfjs-core';
import { hostTidy } from '../../electron/engine/host.ts';
import { gatherRows } from '../../electron/engine/kernels/gather-rows.ts';
import { type Images, imageTensor } from '../../electron/engine/layers/embed.ts';
import {
  commitment,
  countsOf,
  followOnSphere,
  nearest,
  spreadCodes,
  straightThrough,
} from '../../electron/engine/layers/quantize.ts';
import { unit } from '../../electron/engine/layers/tokens.ts';
import { weightedSum } from '../../electron/engine/losses/loss.ts';
import { meanDistance } from '../../electron/engine/losses/squared.ts';
import type { Network } from '../../electron/engine/network.ts';
import type { Method, TrainerConfig } from '../../electron/engine/trainer.ts';
import { entropyOf } from '../../shared/statistics.ts';
import type { TokenizerConfig } from './config.ts';
import { FEATURES, featuresOf, IDLE, network, STEPS } from './network.ts';
import { perceptual, quarters } from './perceptual.ts';
import { shapeOf } from './shape.ts';
import { CODES, COUNTS } from './specs.ts';
import { latentsOf, pictureOf } from './vq.ts';

/** The parts of a configuration that the arithmetic needs. */
export type VQConfig = Pick<TokenizerConfig, 'model' | 'codebook' | 'decoder' | 'pixels' | 'perceptual'> &
  TrainerConfig;

export interface VQBatch {
  /** `[batch, side, side, 3]`, -1 to 1. */
  views: { image: Images };
  /** Rows of the first batch that codes begin at; else some that lie far from each other. */
  picked?: Int32Array;
  /** How far the run is, 0 to 1; nothing is known of that in a step by itself. */
  progress?: number;
}

/**
 * A vector-quantized autoencoder (VQ-KD's networks and codebook, arXiv 2208.06366; PeCo's loss, arXiv 2111.12710): the
 * picture that is drawn of codes should look like the one that they were read from.
 */
export const step: Method<VQConfig, VQBatch> = {
  student: network,
  teacher: () => null,

  step({ student }, { views: { image }, picked, progress = 0 }, config, show) {
    const { codebook, pixels, perceptual: of } = config;
    const rows = unit(latentsOf(student, image));
    const begun = student.buffer(STEPS).dataSync()[0]!;
    if (begun === 0) begin(student, rows.tensor, picked ?? scattered(codebook.codes, rows.tensor.shape[0]));
    const codes = student.buffer(CODES) as tf.Tensor2D;
    const ids = nearest(rows.tensor, codes);
    const drawn = pictureOf(student, straightThrough(rows, ids, codes), shapeOf(config));
    const near = commitment(rows, ids, codes, codebook.beta);
    const truth = imageTensor(image, config.model.image_size);
    const off = meanDistance(drawn, truth, pixels.distance);
    const features = featuresOf(config);
    const unlike =
      features &&
      student.part(FEATURES, features, (frozen) =>
        perceptual(frozen, truth, drawn, {
          taps: of.layers ?? quarters(features.depth),
          lastNorm: of.last_norm,
          mean: of.mean,
          std: of.std,
        }),
      );
    const [squared] = hostTidy(() => tf.mean(tf.squaredDifference(drawn.tensor, truth)));
    show?.('reconstruction', drawn.tensor);
    if (show) tf.tidy(() => show('ids', tf.tensor1d(ids, 'int32')));
    // Last, because this step must use the codes as they were before the update.
    followOnSphere(student, { codes: CODES, counts: COUNTS }, rows.tensor, ids, codebook.decay);
    const counts = countsOf(ids, codebook.codes);
    const revived = keepInUse(
      student,
      rows.tensor,
      counts,
      progress < codebook.revive_share ? codebook.revive_after : null,
    );
    const terms: [typeof off, number][] = [[off, 1], [near, 1]]; // biome-ignore format: a pair a term
    if (unlike) terms.push([unlike.loss, of.weight]);
    const value = (loss: typeof off) => loss.tensor.dataSync()[0]!;
    return {
      loss: weightedSum(terms),
      figures: {
        pixel: value(off),
        squared: squared!,
        commitment: value(near),
        perceptual: unlike ? value(unlike.loss) : 0,
        perplexity: perplexityOf(counts),
        ...usageOf(student),
        revived,
      },
    };
  },
};

/** exp of the entropy of how often each code fell: so many equally frequent ones would have this entropy, V at most. */
export function perplexityOf(counts: Float32Array): number {
  const all = counts.reduce((sum, n) => sum + n, 0);
  return Math.exp(entropyOf(Array.from(counts, (n) => n / all)));
}

/** Steps within which a code has to fall, or it counts as dead. */
export const LATELY = 20;

/** Share of the codes that fell on something lately. */
function usageOf(student: Network): { used: number } {
  const idle = student.buffer(IDLE).dataSync();
  return { used: Array.from(idle).filter((steps) => steps < LATELY).length / idle.length };
}

/** Numbers below `n` that are far from each other: steps of the golden section, so that no column of the grid is preferred. */
export function scattered(count: number, n: number, from = 0): Int32Array {
  let stride = Math.max(1, Math.round(n * 0.6180339887));
  const divides = (a: number, b: number): number => (b === 0 ? a : divides(b, a % b));
  while (divides(n, stride) !== 1) stride++;
  return Int32Array.from({ length: count }, (_, i) => ((from + i) * stride) % n);
}

/** k-means of a batch, as the codebook's start. */
const begin = (student: Network, rows: tf.Tensor2D, picked: Int32Array): void =>
  student.updateBuffer(CODES, () => spreadCodes(rows, picked).codes);

/**
 * Counts for how long nothing fell on each code, and moves one that has been idle for too long to a row of this batch: a
 * codebook that a small batch starts keeps holes otherwise. @returns how many were moved
 */
function keepInUse(student: Network, rows: tf.Tensor2D, counts: Float32Array, after: number | null): number {
  const before = student.buffer(IDLE).dataSync();
  const idle = Float32Array.from(counts, (n, code) => (n > 0 ? 0 : before[code]! + 1));
  const steps = student.buffer(STEPS).dataSync()[0]!;
  const dead = after === null ? [] : [...idle.keys()].filter((code) => idle[code]! >= after);
  if (dead.length > 0) {
    const places = scattered(dead.length, rows.shape[0], steps * 7);
    student.updateBuffer(CODES, (old) => {
      const index = tf.tensor2d(dead, [dead.length, 1], 'int32');
      return tf.tensorScatterUpdate(old, index, gatherRows(rows, places));
    });
    for (const code of dead) idle[code] = 0;
  }
  student.updateBuffer(IDLE, () => tf.tensor1d(idle));
  student.updateBuffer(STEPS, (old) => tf.add(old, 1));
  return dead.length;
}
