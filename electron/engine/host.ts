import * as tf from '@tensorflow/tfjs-core';

/** A tensor's values as an array of our own: some backends give a view of theirs. */
export const hostCopy = (tensor: tf.Tensor): Float32Array => (tensor.dataSync() as Float32Array).slice();

/**
 * The values of a tensor that `compute` makes, its intermediates freed. Not by returning values from `tf.tidy`: that
 * looks for tensors in every element of what it returns, which takes longer than the arithmetic.
 */
export function hostTidy(compute: () => tf.Tensor): Float32Array {
  const tensor = tf.tidy(compute);
  const values = hostCopy(tensor);
  tensor.dispose();
  return values;
}
