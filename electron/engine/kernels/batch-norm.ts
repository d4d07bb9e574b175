import * as tf from '@tensorflow/tfjs-core';
import { compiledKernel, float, floats, isCompiled, storageOf, store } from './device.ts';

/** Scale and shift, `[width]` each, with a ReLU after them; null for neither. */
export type Affine = { gamma: tf.Tensor; beta: tf.Tensor } | null;

/** The output, and the batch's mean and biased variance: `[2, width]`. */
export interface BatchNormal {
  y: tf.Tensor2D;
  stats: tf.Tensor2D;
}

/**
 * BatchNorm (arXiv 1502.03167) on the batch's own statistics, and, where it has scale and shift, ReLU.
 * @param x `[rows, width]`
 */
export function batchNorm(x: tf.Tensor2D, affine: Affine, eps: number): BatchNormal {
  const storage = storageOf(x);
  if (!isCompiled(storage)) return batchNormPlain(x, affine, eps);
  const inputs = [x, affine?.gamma, affine?.beta];
  const [y, stats] = compiledKernel('BatchNorm', storage, [float('eps', eps)], inputs, 2);
  return { y: y as tf.Tensor2D, stats: stats as tf.Tensor2D };
}

/** The same, operation by operation. */
export function batchNormPlain(x: tf.Tensor2D, affine: Affine, eps: number): BatchNormal {
  const [y, stats] = tf.tidy(() => {
    const values = floats(x);
    const { mean, variance } = tf.moments(values, 0);
    return [store(normalized(values, mean, variance, affine, eps), storageOf(x)), tf.stack([mean, variance])];
  }) as [tf.Tensor2D, tf.Tensor2D];
  return { y, stats };
}

/** On statistics that are given. @param mean `[width]` @param variance `[width]` */
export function normalized(x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, affine: Affine, eps: number): tf.Tensor {
  const xhat = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, eps)));
  return affine ? tf.relu(tf.add(tf.mul(xhat, affine.gamma), affine.beta)) : xhat;
}

export interface BatchNormGradients {
  dx: tf.Tensor2D;
  /** Null where there are no scale and shift. */
  affine: { dgamma: tf.Tensor; dbeta: tf.Tensor } | null;
}

/** Its gradients. Disposes of `dy`. @param x what was normalised @param stats as `batchNorm` gave them */
export function batchNormGradient(
  dy: tf.Tensor2D,
  x: tf.Tensor2D,
  stats: tf.Tensor2D,
  affine: Affine,
  eps: number,
): BatchNormGradients {
  const storage = storageOf(x);
  if (!isCompiled(storage)) return batchNormGradientPlain(dy, x, stats, affine, eps);
  const inputs = [dy, x, stats, affine?.gamma, affine?.beta];
  const [dgamma, dbeta] = compiledKernel('BatchNormGrad', storage, [float('eps', eps)], inputs, 2);
  if (affine) return { dx: dy, affine: { dgamma: dgamma!, dbeta: dbeta! } };
  tf.dispose([dgamma!, dbeta!]);
  return { dx: dy, affine: null };
}

/** The same, operation by operation. */
export function batchNormGradientPlain(
  dy: tf.Tensor2D,
  x: tf.Tensor2D,
  stats: tf.Tensor2D,
  affine: Affine,
  eps: number,
): BatchNormGradients {
  const [dx, dgamma, dbeta] = tf.tidy(() => {
    const [mean, variance] = tf.unstack(stats) as [tf.Tensor, tf.Tensor];
    const inverse = tf.rsqrt(tf.add(variance, eps));
    const xhat = tf.mul(tf.sub(floats(x), mean), inverse);
    let g: tf.Tensor = floats(dy);
    if (affine) g = tf.mul(g, tf.cast(tf.greater(tf.add(tf.mul(xhat, affine.gamma), affine.beta), 0), 'float32'));
    const projected = tf.mul(xhat, tf.mean(tf.mul(g, xhat), 0));
    const scale = affine ? tf.mul(inverse, affine.gamma) : inverse;
    const own = store(tf.mul(scale, tf.sub(tf.sub(g, tf.mean(g, 0)), projected)), storageOf(x));
    return affine ? [own, tf.sum(tf.mul(g, xhat), 0), tf.sum(g, 0)] : [own];
  }) as [tf.Tensor2D, tf.Tensor?, tf.Tensor?];
  dy.dispose();
  return { dx, affine: dgamma && dbeta ? { dgamma, dbeta } : null };
}
