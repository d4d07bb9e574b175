import * as tf from '@tensorflow/tfjs-core';
import { compiledKernel, float, floats, isCompiled, type Storage, storageOf, store } from './device.ts';

/** LayerNorm's output, and the mean and the inverse deviation of each row: `[rows, 2]`. */
export interface Normal {
  y: tf.Tensor2D;
  stats: tf.Tensor2D;
}

/**
 * LayerNorm over the last axis (arXiv 1607.06450).
 * @param x `[rows, dim]` @param w `[dim]` @param b `[dim]` @param storage of the output
 */
export function layerNorm(x: tf.Tensor2D, w: tf.Tensor, b: tf.Tensor, eps: number, storage: Storage = 'fp32'): Normal {
  if (!isCompiled(storage)) return layerNormPlain(x, w, b, eps, storage);
  const [y, stats] = compiledKernel('LayerNorm', storage, [float('eps', eps)], [x, w, b], 2);
  return { y: y as tf.Tensor2D, stats: stats as tf.Tensor2D };
}

/** The same, operation by operation. */
export function layerNormPlain(
  x: tf.Tensor2D,
  w: tf.Tensor,
  b: tf.Tensor,
  eps: number,
  storage: Storage = 'fp32',
): Normal {
  const [y, stats] = tf.tidy(() => {
    const mean = tf.mean(x, -1, true);
    const centred = tf.sub(x, mean);
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), eps));
    const normal = tf.add(tf.mul(tf.mul(centred, inverse), w), b);
    return [store(normal, storage), tf.concat([mean, inverse], 1)] as [tf.Tensor2D, tf.Tensor2D];
  });
  return { y, stats };
}

/**
 * Its gradients. Disposes of `into`, and returns it with the gradient of `x` added.
 * @param dy `[rows, dim]` @param stats as `layerNorm` gave them @param into `[rows, dim]`
 */
export function layerNormGradient(
  dy: tf.Tensor2D,
  x: tf.Tensor2D,
  w: tf.Tensor,
  stats: tf.Tensor2D,
  into: tf.Tensor2D,
): { dx: tf.Tensor2D; dw: tf.Tensor; db: tf.Tensor } {
  const storage = storageOf(dy);
  if (!isCompiled(storage)) return layerNormGradientPlain(dy, x, w, stats, into);
  const [dw, db] = compiledKernel('LayerNormGrad', storage, [], [dy, x, w, stats, into], 2);
  return { dx: into, dw: dw!, db: db! };
}

/** The same, operation by operation. */
export function layerNormGradientPlain(
  dy: tf.Tensor2D,
  x: tf.Tensor2D,
  w: tf.Tensor,
  stats: tf.Tensor2D,
  into: tf.Tensor2D,
): { dx: tf.Tensor2D; dw: tf.Tensor; db: tf.Tensor } {
  const [dx, dw, db] = tf.tidy(() => {
    const [mean, inverse] = tf.split(stats, 2, 1) as [tf.Tensor, tf.Tensor];
    const xhat = tf.mul(tf.sub(x, mean), inverse);
    const upstream = floats(dy);
    const g = tf.mul(upstream, w);
    const projected = tf.mul(xhat, tf.mean(tf.mul(g, xhat), -1, true));
    const own = tf.mul(inverse, tf.sub(tf.sub(g, tf.mean(g, -1, true)), projected));
    return [tf.add(into, own), tf.sum(tf.mul(upstream, xhat), 0), tf.sum(upstream, 0)];
  }) as [tf.Tensor2D, tf.Tensor, tf.Tensor];
  into.dispose();
  return { dx, dw, db };
}
