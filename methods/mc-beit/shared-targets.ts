import * as tf from '@tensorflow/tfjs-core';
import { gatherRows, gatherRowsGradient } from '../../electron/engine/kernels/gather-rows.ts';
import { l2Normalize, type Tokens } from '../../electron/engine/layers/tokens.ts';
import { lossOf } from '../../electron/engine/losses/loss.ts';
import type { Value } from '../../electron/engine/tape.ts';

export interface SharingConfig {
  /** Weight of what patches share; a patch's own counts for the rest (omega of the published code). */
  omega: number;
  /** Of the softmax over how alike the student finds patches (tau_s). */
  similarity_temperature: number;
  /** Whether features are also pulled to where targets agree with what is said, as published. */
  through_similarity: boolean;
}

/** What a step says of its targets beside its loss. */
export interface SharingFigures {
  /** Mean entropy of the targets of masked patches, nats: below this no loss can fall. */
  target_entropy: number;
  /** Mean over images of the largest weight that a patch has, times how many there are: 1 where all weigh alike. */
  mixing: number;
}

/** Values of a slice of a batch that are held at once. */
const SLICE = 1 << 22;

/**
 * Cross-entropy of masked patches with targets that alike patches share (mc-BEiT, arXiv 2203.15371): a patch's distribution
 * over tokens is mixed with those of its image's patches, by how alike the student finds them, and the gradient goes
 * through that likeness too.
 * @param features `[batch * K, dim]`, in floats @param said `[masked, V]`, of the masked rows in their order
 * @param own `[batch * K, V]`, of each patch its distribution over tokens; stays the caller's, and gets no gradient
 * @param masked rows of the batch, rising
 */
export function sharedCrossEntropy(
  features: Tokens,
  said: Value<tf.Tensor2D>,
  own: tf.Tensor2D,
  masked: Int32Array,
  config: SharingConfig,
): { loss: Value<tf.Scalar>; figures: SharingFigures } {
  const { batch, n: K } = features;
  const images = Math.max(1, Math.min(batch, Math.floor(SLICE / (K * said.tensor.shape[1]))));
  let [loss, entropy, mixing] = [0, 0, 0];
  const [bySaid, byFeatures] = tf.tidy(() => {
    const dsaid: tf.Tensor2D[] = [];
    const dfeatures: tf.Tensor2D[] = [];
    let from = 0;
    for (let first = 0; first < batch; first += images) {
      const last = Math.min(batch, first + images);
      let to = from;
      while (to < masked.length && masked[to]! < last * K) to++;
      const slice = { first, last, from, to, rows: masked.subarray(from, to).map((row) => row - first * K) };
      const part = shareWithin(features.tensor, said.tensor, own, slice, { ...config, K, masked: masked.length });
      dsaid.push(part.dsaid);
      dfeatures.push(part.dfeatures);
      const sums = part.sums.dataSync();
      loss += sums[0]!;
      entropy += sums[1]!;
      mixing += sums[2]!;
      from = to;
    }
    return [tf.concat(dsaid), tf.concat(dfeatures)];
  }) as [tf.Tensor2D, tf.Tensor2D];
  return {
    loss: lossOf(tf.scalar(loss), [said, bySaid], [features, byFeatures]),
    figures: { target_entropy: entropy, mixing: mixing / batch },
  };
}

interface Slice {
  /** Images, and masked rows, of the batch: from the first, to before the last. */
  first: number;
  last: number;
  from: number;
  to: number;
  /** Masked rows, counted within the slice. */
  rows: Int32Array;
}

/** Of some images: gradients, and the sums of what a loss and its figures are made of. */
function shareWithin(
  features: tf.Tensor2D,
  said: tf.Tensor2D,
  own: tf.Tensor2D,
  { first, last, from, to, rows }: Slice,
  { omega, similarity_temperature, through_similarity, K, masked }: SharingConfig & { K: number; masked: number },
) {
  const [dim, V, b] = [features.shape[1], said.shape[1], last - first];
  const [dsaid, dfeatures, sums] = tf.tidy(() => {
    const f = tf.reshape(tf.slice(features, [first * K, 0], [b * K, dim]), [b, K, dim]) as tf.Tensor3D;
    const p = tf.reshape(tf.slice(own, [first * K, 0], [b * K, V]), [b, K, V]) as tf.Tensor3D;
    const log = tf.logSoftmax(tf.slice(said, [from, 0], [to - from, V])); // l, of masked rows
    const u = l2Normalize(f);
    const weights = tf.softmax(tf.div(tf.matMul(u, u, false, true), similarity_temperature)) as tf.Tensor3D; // W
    const mixed = tf.add(tf.mul(tf.matMul(weights, p), omega), tf.mul(p, 1 - omega));
    const z = gatherRows(tf.reshape(mixed, [b * K, V]), rows);
    const loss = tf.neg(tf.sum(tf.mul(z, log)));
    const entropy = tf.neg(tf.sum(tf.mul(z, tf.log(tf.maximum(z, 1e-30)))));
    const most = tf.sum(tf.mul(tf.max(weights, [1, 2]), K * masked)); // of each image; undone below
    const sums = tf.div(tf.stack([loss, entropy, most]), masked);
    const dsaid = tf.div(tf.sub(tf.exp(log), z), masked); // z sums to one
    if (!through_similarity) return [dsaid, tf.zeros([b * K, dim]), sums];
    const said3 = tf.reshape(gatherRowsGradient(log as tf.Tensor2D, rows, b * K), [b, K, V]) as tf.Tensor3D; // 0 elsewhere
    const dweights = tf.mul(tf.matMul(said3, p, false, true), -omega / masked);
    const mean = tf.sum(tf.mul(dweights, weights), -1, true);
    const ds = tf.mul(weights, tf.sub(dweights, mean)) as tf.Tensor3D;
    // u stands on both sides of the product.
    const both = tf.add(ds, tf.transpose(ds, [0, 2, 1])) as tf.Tensor3D;
    const du = tf.div(tf.matMul(both, u), similarity_temperature);
    const length = tf.maximum(tf.norm(f, 2, -1, true), 1e-12);
    const df = tf.div(tf.sub(du, tf.mul(u, tf.sum(tf.mul(du, u), -1, true))), length);
    return [dsaid, tf.reshape(df, [b * K, dim]), sums];
  }) as [tf.Tensor2D, tf.Tensor2D, tf.Tensor1D];
  return { dsaid, dfeatures, sums };
}
