import * as tf from '@tensorflow/tfjs-core';
import { compiledKernel, floats, isCompiled, storageOf, store } from './device.ts';

/** What a branch is multiplied by before it is added; null for 1. */
export interface Scales {
  /** Layer scale (arXiv 2103.17239): `[dim]`. */
  gamma: tf.Tensor | null;
  /** Of each image, for stochastic depth: `[batch]`. */
  factors: tf.Tensor | null;
}

/** `[batch]` as `[rows, 1]`. */
const spread = (factors: tf.Tensor, rows: number) => {
  const batch = factors.size;
  return tf.reshape(tf.tile(tf.reshape(factors, [batch, 1]), [1, rows / batch]), [rows, 1]);
};

/** t + factor gamma (branch + bias). @param t `[rows, dim]` @param branch `[rows, dim]` @param bias `[dim]` */
export function residual(t: tf.Tensor2D, branch: tf.Tensor2D, bias: tf.Tensor, scales: Scales): tf.Tensor2D {
  const storage = storageOf(branch);
  if (!isCompiled(storage)) return residualPlain(t, branch, bias, scales);
  const inputs = [t, branch, bias, scales.gamma, scales.factors];
  return compiledKernel('Residual', storage, [], inputs, 1)[0] as tf.Tensor2D;
}

/** The same, operation by operation. */
export function residualPlain(
  t: tf.Tensor2D,
  branch: tf.Tensor2D,
  bias: tf.Tensor,
  { gamma, factors }: Scales,
): tf.Tensor2D {
  return tf.tidy(() => {
    let added: tf.Tensor = tf.add(floats(branch), bias);
    if (gamma) added = tf.mul(added, gamma);
    if (factors) added = tf.mul(added, spread(factors, t.shape[0]));
    return tf.add(t, added) as tf.Tensor2D;
  });
}

export interface ResidualGradients {
  /** In the branch's storage. */
  dbranch: tf.Tensor2D;
  dgamma: tf.Tensor | null;
  dbias: tf.Tensor;
}

/** Gradients of a branch; that of `t` is `dt` itself, which is left as it is. */
export function residualGradient(
  dt: tf.Tensor2D,
  branch: tf.Tensor2D,
  bias: tf.Tensor,
  scales: Scales,
): ResidualGradients {
  const storage = storageOf(branch);
  if (!isCompiled(storage)) return residualGradientPlain(dt, branch, bias, scales);
  const inputs = [dt, branch, bias, scales.gamma, scales.factors];
  const [dbranch, dgamma, dbias] = compiledKernel('ResidualGrad', storage, [], inputs, 3);
  if (!scales.gamma) dgamma!.dispose();
  return { dbranch: dbranch as tf.Tensor2D, dgamma: scales.gamma && dgamma!, dbias: dbias! };
}

/** The same, operation by operation. */
export function residualGradientPlain(
  dt: tf.Tensor2D,
  branch: tf.Tensor2D,
  bias: tf.Tensor,
  { gamma, factors }: Scales,
): ResidualGradients {
  const [dbranch, dbias, dgamma] = tf.tidy(() => {
    const g = factors ? tf.mul(dt, spread(factors, dt.shape[0])) : dt;
    const scaled = gamma ? tf.mul(g, gamma) : g;
    const found = [store(scaled, storageOf(branch)), tf.sum(scaled, 0)];
    return gamma ? [...found, tf.sum(tf.mul(g, tf.add(floats(branch), bias)), 0)] : found;
  }) as [tf.Tensor2D, tf.Tensor, tf.Tensor?];
  return { dbranch, dbias, dgamma: dgamma ?? null };
}
