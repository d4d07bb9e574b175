import * as tf from '@tensorflow/tfjs-core';
import { gatherRows, gatherRowsGradient } from '../kernels/gather-rows.ts';
import { lossOf } from '../losses/loss.ts';
import type { Network } from '../network.ts';
import { record, type Value } from '../tape.ts';
import { l2Normalize, Tokens } from './tokens.ts';

/** Which code each row is nearest to, by squared distance. @param rows `[n, width]` @param codes `[V, width]` */
export function nearest(rows: tf.Tensor2D, codes: tf.Tensor2D): Int32Array {
  const ids = tf.tidy(() => {
    const squares = tf.add(tf.sum(tf.square(rows), 1, true), tf.sum(tf.square(codes), 1));
    return tf.argMin(tf.sub(squares, tf.mul(tf.matMul(rows, codes, false, true), 2)), 1);
  });
  const values = Int32Array.from(ids.dataSync());
  ids.dispose();
  return values;
}

/** How many rows fell on each code: `[V]`. */
export function countsOf(ids: Int32Array, codes: number): Float32Array {
  const counts = new Float32Array(codes);
  for (const id of ids) counts[id]!++;
  return counts;
}

/**
 * Codes in the place of rows; the gradient of a code is given to its row unchanged (straight-through, arXiv 1711.00937,
 * section 3.2).
 * @param codes `[V, width]`, which stay the caller's and get no gradient
 */
export function straightThrough(rows: Tokens, ids: Int32Array, codes: tf.Tensor2D): Tokens {
  return record(new Tokens(gatherRows(codes, ids), rows.batch), (dq) => rows.addGradient(dq));
}

/** beta mean (z - sg(q))^2, over rows and width (arXiv 1711.00937, equation 3): keeps rows at their codes. */
export function commitment(rows: Tokens, ids: Int32Array, codes: tf.Tensor2D, beta: number): Value<tf.Scalar> {
  const [loss, gradient] = tf.tidy(() => {
    const off = tf.sub(rows.tensor, gatherRows(codes, ids));
    return [tf.mul(tf.mean(tf.square(off)), beta), tf.mul(off, (2 * beta) / off.size)];
  }) as [tf.Scalar, tf.Tensor2D];
  return lossOf(loss, [rows, gradient]);
}

/**
 * A mixture of codes by softmax((logits + noise) / temperature) (Gumbel-softmax, arXiv 1611.01144); where it is `hard`
 * the likeliest code alone, with the mixture's gradient (straight-through).
 * @param name of the codes' parameter, `[V, width]` @param noise `[rows * V]`, of a Gumbel distribution
 * @returns `[rows, width]`
 */
export function mixture(
  network: Network,
  name: string,
  logits: Tokens,
  noise: Float32Array,
  { temperature, hard }: { temperature: number; hard: boolean },
): Tokens {
  const codebook = network.weights.get(name) as tf.Tensor2D;
  const shares = tf.tidy(() => {
    const said = tf.add(logits.tensor, tf.tensor2d(noise, logits.tensor.shape));
    return tf.softmax(tf.div(said, temperature));
  }) as tf.Tensor2D;
  const used = hard
    ? tf.tidy(() => tf.cast(tf.oneHot(tf.argMax(shares, 1), shares.shape[1]), 'float32') as tf.Tensor2D)
    : (shares.clone() as tf.Tensor2D);
  return record(
    new Tokens(tf.matMul(used, codebook), logits.batch),
    (dcodes, gradients) => {
      gradients.add(name, tf.matMul(used, dcodes, true));
      logits.addGradient(
        tf.tidy(() => {
          const dshares = tf.matMul(dcodes, codebook, false, true);
          const mean = tf.sum(tf.mul(dshares, shares), 1, true);
          return tf.div(tf.mul(shares, tf.sub(dshares, mean)), temperature);
        }),
      );
      dcodes.dispose();
    },
    [shares, used],
  );
}

/**
 * Codes that are running means of the rows that fall on them, with a count that is smoothed so that none is divided by
 * zero (`EMAVectorQuantizer` of taming-transformers; arXiv 1906.00446, appendix A).
 * @param name its buffers are NAME.weight `[V, width]`, NAME.cluster_size `[V]` and NAME.embed_avg `[V, width]`
 */
export function followByMeans(
  network: Network,
  name: string,
  rows: tf.Tensor2D,
  ids: Int32Array,
  { decay, eps }: { decay: number; eps: number },
): void {
  const [V] = network.buffer(`${name}.weight`).shape as [number, number];
  const towards = (value: tf.Tensor) => (old: tf.Tensor) => tf.add(tf.mul(old, decay), tf.mul(value, 1 - decay));
  const [counts, sums] = [tf.tensor1d(countsOf(ids, V)), gatherRowsGradient(rows, ids, V)];
  network.updateBuffer(`${name}.cluster_size`, towards(counts));
  network.updateBuffer(`${name}.embed_avg`, towards(sums));
  tf.dispose([counts, sums]);
  const [size, means] = ['cluster_size', 'embed_avg'].map((of) => network.buffer(`${name}.${of}`));
  network.updateBuffer(`${name}.weight`, () => {
    const all = tf.sum(size!);
    const smooth = tf.mul(tf.div(tf.add(size!, eps), tf.add(all, V * eps)), all);
    return tf.div(means!, tf.reshape(smooth, [V, 1]));
  });
}

/**
 * The same on the unit sphere, without sums (`NormEMAVectorQuantizer` of beit2, arXiv 2208.06366): codes that nothing falls
 * on stay where they are.
 * @param rows of unit length @param names of the codes `[V, width]`, and of a running count `[V]` that is only shown
 */
export function followOnSphere(
  network: Network,
  names: { codes: string; counts: string },
  rows: tf.Tensor2D,
  ids: Int32Array,
  decay: number,
): void {
  const [V] = network.buffer(names.codes).shape as [number, number];
  const counts = countsOf(ids, V);
  network.updateBuffer(names.codes, (old) => {
    const means = meansOf(rows, ids, counts, old as tf.Tensor2D);
    return l2Normalize(tf.add(tf.mul(old, decay), tf.mul(means, 1 - decay)));
  });
  network.updateBuffer(names.counts, (old) => tf.add(tf.mul(old, decay), tf.mul(tf.tensor1d(counts), 1 - decay)));
}

/** Of each code the mean direction of its rows; the code itself where it has none. Within a tidy. */
function meansOf(rows: tf.Tensor2D, ids: Int32Array, counts: Float32Array, codes: tf.Tensor2D): tf.Tensor2D {
  const [V] = codes.shape;
  const n = tf.tensor2d(counts, [V, 1]);
  const means = l2Normalize(tf.div(gatherRowsGradient(rows, ids, V), tf.maximum(n, 1)));
  return tf.where(tf.greater(n, 0), means, codes) as tf.Tensor2D;
}

/**
 * Codes to begin with: k-means by cosine, as beit2 starts its codebook.
 * @param rows of unit length @param picked `[V]`, rows that are the first centres
 * @returns `[V, width]`, which the caller owns; and how many rows the last round had on each
 */
export function spreadCodes(
  rows: tf.Tensor2D,
  picked: Int32Array,
  rounds = 10,
): { codes: tf.Tensor2D; counts: Float32Array } {
  let codes = gatherRows(rows, picked);
  let counts = new Float32Array(picked.length);
  for (let round = 0; round < rounds; round++) {
    const similar = tf.tidy(() => tf.argMax(tf.matMul(rows, codes, false, true), 1));
    const ids = Int32Array.from(similar.dataSync());
    similar.dispose();
    counts = countsOf(ids, picked.length) as Float32Array<ArrayBuffer>;
    const before = codes;
    codes = tf.tidy(() => meansOf(rows, ids, counts, before));
    before.dispose();
  }
  return { codes, counts };
}
