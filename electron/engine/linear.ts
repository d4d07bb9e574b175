import * as tf from '@tensorflow/tfjs-core';
import type { Storage } from './kernels/device.ts';
import { matMul, reshape } from './kernels/matrices.ts';
import type { Gradients, Weights } from './weights.ts';

/** x W^T: `[rows, in]` by the published `[out, in]`; in the storage of `x`, or in another. */
export const linear = (x: tf.Tensor2D, weights: Weights, name: string, storage?: Storage): tf.Tensor2D =>
  matMul(x, weights.matrix(name), { transposeB: true, storage });

/** The gradient of its `x`; `dy` stays the caller's. */
export const inputGradient = (dy: tf.Tensor2D, weights: Weights, name: string): tf.Tensor2D =>
  matMul(dy, weights.matrix(name));

/** Adds the gradient of its weight to `gradients`; `dy` and `x` stay the caller's. */
export function weightGradient(
  dy: tf.Tensor2D,
  x: tf.Tensor2D,
  weights: Weights,
  name: string,
  gradients: Gradients,
): void {
  if (!gradients.wants(name)) return;
  gradients.add(
    name,
    tf.tidy(() => reshape(matMul(dy, x, { transposeA: true, storage: 'fp32' }), weights.get(name).shape)),
  );
}

/** Both: the weight's is added to `gradients`, that of `x` comes back. */
export function linearGradient(
  dy: tf.Tensor2D,
  x: tf.Tensor2D,
  weights: Weights,
  name: string,
  gradients: Gradients,
): tf.Tensor2D {
  weightGradient(dy, x, weights, name, gradients);
  return inputGradient(dy, weights, name);
}
