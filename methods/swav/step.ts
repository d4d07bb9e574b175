import * as tf from '@tensorflow/tfjs-core';
import { encode } from '../../electron/engine/encoder.ts';
import { hostTidy } from '../../electron/engine/host.ts';
import { all, type Images, joinImages } from '../../electron/engine/layers/embed.ts';
import { project } from '../../electron/engine/layers/head.ts';
import { linear } from '../../electron/engine/layers/linear.ts';
import { clsRows, join, type Tokens, unit } from '../../electron/engine/layers/tokens.ts';
import { makeRowsUnit } from '../../electron/engine/layers/unit-rows.ts';
import { weightedCrossEntropy } from '../../electron/engine/losses/cross-entropy.ts';
import { sinkhorn } from '../../electron/engine/losses/sinkhorn.ts';
import type { Network } from '../../electron/engine/network.ts';
import type { Value } from '../../electron/engine/tape.ts';
import type { Figures, Method, Show, TrainerConfig } from '../../electron/engine/trainer.ts';
import { cropsIn } from '../../shared/crops.ts';
import type { SwAVRunConfig } from './config.ts';
import { headOf, network } from './network.ts';

/** The parts of a configuration that the arithmetic needs. */
export type SwAVConfig = Pick<SwAVRunConfig, 'model' | 'head' | 'prototypes' | 'queue' | 'train'> & {
  crops: Pick<SwAVRunConfig['crops'], 'small_size'>;
  /** Crops that are given codes; by default the large ones (`crops_for_assign`). */
  assign?: readonly number[];
} & TrainerConfig;

export interface SwAVBatch {
  /** By the names of `cropViews`: `[batch, side, side, 3]` each, normalised. */
  views: Record<string, Images>;
  /** From 0. */
  epoch?: number;
}

/** Swapping assignments between views (arXiv 2006.09882, section 3; main_swav.py of the published code). */
export const step: Method<SwAVConfig, SwAVBatch> = {
  student: network,
  teacher: () => null,

  step({ student }, { views, epoch }, config, show) {
    const { large, small } = cropsIn(views);
    const sides = [undefined, config.crops.small_size];
    // One pass for each size of crop.
    const tokens = [large, small].flatMap((crops, i) =>
      crops.length > 0 ? [clsRows(encode(student, all(joinImages(crops), sides[i])))] : [],
    );
    return swap(student, join(tokens), large.length + small.length, { ...config, epoch }, show);
  },
};

/**
 * From features of all crops to the loss.
 * @param features `[crops * batch, dim]`, crop by crop @param crops of an image
 */
export function swap(
  student: Network,
  features: Tokens,
  crops: number,
  { head, prototypes, queue, assign = [0, 1], epoch = 0 }: Omit<SwAVConfig, 'model'> & { epoch?: number | undefined },
  show: Show | null,
): { loss: Value<tf.Scalar>; figures: Figures } {
  const batch = features.tensor.shape[0] / crops;
  // Not after the step: what is stored is not of unit length.
  makeRowsUnit(student, 'prototypes.weight');
  // All crops are normalised together, of whatever size they are.
  const z = unit(project(student, headOf({ head }, features.width), features)); // [crops * batch, out]
  const scores = linear(student, 'prototypes', z); // cosines, [crops * batch, K]
  show?.('embedding', z.tensor);
  show?.('scores', scores.tensor);

  const of = <T extends tf.Tensor>(rows: T, crop: number) =>
    tf.slice(rows, [crop * batch, 0], [batch, rows.shape[1]!]) as tf.Tensor2D;
  const isQueued = student.findBuffer('queue') !== null && epoch >= queue.start_epoch;
  const codes = assign.map((crop, i) =>
    tf.tidy(() => {
      const before = isQueued ? queuedScores(student, i) : null;
      const every = before ? tf.concat([before, of(scores.tensor, crop)]) : of(scores.tensor, crop);
      const balanced = sinkhorn(every as tf.Tensor2D, prototypes);
      return tf.slice(balanced, [balanced.shape[0] - batch, 0], [batch, balanced.shape[1]]) as tf.Tensor2D;
    }),
  );
  // The newest in front, the oldest fall off.
  if (isQueued)
    student.updateBuffer('queue', (old) => {
      const [, length, width] = old.shape as [number, number, number];
      const kept = tf.slice(old, [0, 0, 0], [assign.length, length - batch, width]);
      return tf.concat([tf.stack(assign.map((crop) => of(z.tensor, crop))), kept], 1);
    });

  const loss = swapped(scores, codes, { crops, assign, temperature: prototypes.temperature });
  const figures = measured(scores.tensor, codes, assign);
  for (const [i, code] of codes.entries()) show?.(`codes.${i}`, code);
  if (show) tf.tidy(() => show('images', of(z.tensor, 0)));
  return { loss, figures };
}

/**
 * Scores of the embeddings that wait in a queue, by today's prototypes; null while it is not full, for which its oldest row
 * is looked at. Within a tidy.
 * @param i place among the crops that are given codes
 */
function queuedScores(student: Network, i: number): tf.Tensor | null {
  const all = student.buffer('queue');
  const [, length, width] = all.shape as [number, number, number];
  const rows = tf.reshape(tf.slice(all, [i, 0, 0], [1, length, width]), [length, width]);
  const isFull = tf.any(tf.notEqual(tf.slice(rows, [length - 1, 0], [1, width]), 0)).dataSync()[0];
  return isFull ? tf.matMul(rows, student.weights.get('prototypes.weight'), false, true) : null;
}

/**
 * Every crop must say the code of each other crop that has one (equation 1; with small crops equation 6): of each code the
 * mean over the other crops, of these the mean over images.
 * @param scores `[crops * batch, K]` @param codes `[batch, K]` each
 */
function swapped(
  scores: Value<tf.Tensor2D>,
  codes: readonly tf.Tensor2D[],
  { crops, assign, temperature }: { crops: number; assign: readonly number[]; temperature: number },
): Value<tf.Scalar> {
  const [batch] = codes[0]!.shape;
  const targets = () => {
    const share = 1 / (codes.length * (crops - 1) * batch);
    const ofCrop = (crop: number) => {
      const others = codes.filter((_, i) => assign[i] !== crop);
      return others.length > 0 ? tf.mul(tf.addN(others), share) : tf.zerosLike(codes[0]!);
    };
    return tf.concat(Array.from({ length: crops }, (_, crop) => ofCrop(crop)));
  };
  return weightedCrossEntropy(scores, targets, temperature);
}

/** Of scores, not of codes: where one image alone has several prototypes, their codes are equal. */
function measured(scores: tf.Tensor2D, codes: readonly tf.Tensor2D[], assign: readonly number[]): Figures {
  const [batch] = codes[0]!.shape;
  const [code_entropy] = hostTidy(() =>
    tf.mean(tf.stack(codes.map((q) => tf.neg(tf.sum(tf.mul(q, tf.log(tf.add(q, 1e-38))), 1))))),
  );
  const nearest = hostTidy(() => tf.argMax(scores, 1));
  const ofCrops = assign.map((crop) => nearest.slice(crop * batch, (crop + 1) * batch));
  const [first, second] = ofCrops;
  return {
    code_entropy: code_entropy!,
    prototypes_used: new Set(ofCrops.flatMap((some) => [...some])).size,
    agreement: second ? first!.reduce((sum, k, i) => sum + +(k === second[i]), 0) / batch : null,
  };
}
