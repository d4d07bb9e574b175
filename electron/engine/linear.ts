import * as tf from '@tensorflow/tfjs-core';
import type { Storage } from './kernels/device.ts';
import { matMul, reshape } from './kernels/matrices.ts';
import type { Gradients, Weights } from './weights.ts';

/** x W^T: `[rows, in]` by the published `[out, in]`; in the storage of `x`, or in another. */
export const linear = (x: tf.Tensor2D, weights: Weights, name: string, storage?: Storage): tf.Tensor2D =>
  matMul(x, weights.matrix(name), false, true, storage);

/**
 * Its gradients: that of the weight is added to `gradients`, that of `x` comes back, or null where it is not wanted.
 * `dy` is left to the caller.
 */
export function linearGradient(
  dy: tf.Tensor2D,
  x: tf.Tensor2D,
  weights: Weights,
  name: string,
  gradients: Gradients,
  wantInput = true,
): tf.Tensor2D | null {
  const dw = tf.tidy(() => reshape(matMul(dy, x, true, false, 'fp32'), weights.get(name).shape));
  gradients.add(name, dw);
  return wantInput ? matMul(dy, weights.matrix(name)) : null;
}
