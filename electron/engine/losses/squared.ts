import * as tf from '@tensorflow/tfjs-core';
import type { Value } from '../tape.ts';
import { lossOf } from './loss.ts';

/**
 * Mean squared error over masked patches (`forward_loss` of MAE, arXiv 2111.06377). No gradient reaches the target.
 * @param predicted @param target `[batch, K, values]` @param mask `[batch * K]`, 1 = counts
 */
export function meanSquared(
  predicted: Value<tf.Tensor3D>,
  target: Value<tf.Tensor3D>,
  mask: Float32Array,
): Value<tf.Scalar> {
  const [batch, K, values] = predicted.tensor.shape;
  const [loss, gradient] = tf.tidy(() => {
    const share = tf.tensor3d(mask, [batch, K, 1]);
    const weight = tf.div(share, tf.mul(tf.sum(share), values));
    const off = tf.sub(predicted.tensor, target.tensor);
    return [tf.sum(tf.mul(tf.square(off), weight)), tf.mul(tf.mul(off, weight), 2)];
  }) as [tf.Scalar, tf.Tensor3D];
  return lossOf(predicted, loss, gradient);
}
