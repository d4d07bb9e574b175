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
  return lossOf(loss, [predicted, gradient]);
}

/** How far a picture is from another: mean square, mean absolute difference, or the one below 1 and the other above. */
export type Distance = 'squared' | 'absolute' | 'huber';

/**
 * Mean over all values of a distance (`F.mse_loss`, `F.l1_loss`, `F.smooth_l1_loss` with beta 1). No gradient reaches the
 * target. @param predicted @param target of one shape, in floats
 */
export function meanDistance<T extends tf.Tensor>(predicted: Value<T>, target: T, kind: Distance): Value<tf.Scalar> {
  const [loss, gradient] = tf.tidy(() => {
    const off = tf.sub(predicted.tensor, target);
    const size = tf.abs(off);
    if (kind === 'squared') return [tf.mean(tf.square(off)), tf.mul(off, 2 / off.size)];
    if (kind === 'absolute') return [tf.mean(size), tf.div(tf.sign(off), off.size)];
    const [near, half] = [tf.less(size, 1), tf.mul(tf.square(off), 0.5)];
    const slope = tf.where(near, off, tf.sign(off));
    return [tf.mean(tf.where(near, half, tf.sub(size, 0.5))), tf.div(slope, off.size)];
  }) as [tf.Scalar, T];
  return lossOf(loss, [predicted, gradient]);
}
