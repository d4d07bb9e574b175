import * as tf from '@tensorflow/tfjs-core';
import { floats, storageOf, store } from './device.ts';
import { reshape, transpose } from './matrices.ts';

/** Queries (over the root of their width), keys, values: `[batch, heads, n, width]` each. */
export interface Heads {
  q: tf.Tensor4D;
  k: tf.Tensor4D;
  v: tf.Tensor4D;
}

/**
 * Takes the product with the published `qkv` weight apart. Keys have no bias: softmax would cancel it (BEiT,
 * arXiv 2106.08254).
 * @param qkv `[batch * n, 3 * dim]` @param qBias `[dim]` @param vBias `[dim]` @param n tokens of an image
 */
export function splitHeads(qkv: tf.Tensor2D, qBias: tf.Tensor, vBias: tf.Tensor, heads: number, n: number): Heads {
  const storage = storageOf(qkv);
  const [batch, width] = [qkv.shape[0] / n, qkv.shape[1] / 3 / heads];
  const [q, k, v] = tf.tidy(() => {
    const biased = tf.add(floats(qkv), tf.concat([qBias, tf.zerosLike(qBias), vBias]));
    const split = tf.transpose(tf.reshape(biased, [batch, n, 3, heads, width]), [2, 0, 3, 1, 4]);
    const [a, b, c] = tf.unstack(split) as [tf.Tensor, tf.Tensor, tf.Tensor];
    return [tf.mul(a, width ** -0.5), b, c].map((x) => store(x, storage));
  }) as tf.Tensor4D[];
  return { q: q!, k: k!, v: v! };
}

/** Gradients of `splitHeads`. Disposes of all three. */
export function joinHeads({ q, k, v }: Heads): { dqkv: tf.Tensor2D; dqBias: tf.Tensor; dvBias: tf.Tensor } {
  const storage = storageOf(q);
  const [batch, heads, n, width] = q.shape;
  const dim = heads * width;
  const [dqkv, dqBias, dvBias] = tf.tidy(() => {
    const rows = (x: tf.Tensor) => tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [batch * n, dim]);
    const [a, b, c] = [rows(tf.mul(floats(q), width ** -0.5)), rows(floats(k)), rows(floats(v))];
    return [store(tf.concat([a, b, c], 1), storage), tf.sum(a, 0), tf.sum(c, 0)];
  }) as [tf.Tensor2D, tf.Tensor, tf.Tensor];
  tf.dispose([q, k, v]);
  return { dqkv, dqBias, dvBias };
}

/** `[batch, heads, n, width]` as `[batch * n, heads * width]`, in its storage. */
export function mergeHeads(x: tf.Tensor4D): tf.Tensor2D {
  const [batch, heads, n, width] = x.shape;
  return tf.tidy(() => reshape<tf.Tensor2D>(transpose(x, [0, 2, 1, 3]), [batch * n, heads * width]));
}

/** Undoes `mergeHeads`. */
export function unmergeHeads(x: tf.Tensor2D, heads: number, n: number): tf.Tensor4D {
  const [rows, dim] = x.shape;
  return tf.tidy(() => transpose(reshape(x, [rows / n, n, heads, dim / heads]), [0, 2, 1, 3])) as tf.Tensor4D;
}
