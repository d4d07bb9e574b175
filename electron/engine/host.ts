import * as tf from '@tensorflow/tfjs-core';
import { floats, isTensorFlow, storageOf } from './kernels/device.ts';

/** A tensor's values as an array of our own, of 16 bits too: backends other than TensorFlow may give a view of theirs. */
export function hostCopy(tensor: tf.Tensor): Float32Array {
  if (storageOf(tensor) !== 'fp32') {
    const wide = floats(tensor);
    const values = hostCopy(wide);
    wide.dispose();
    return values;
  }
  const values = tensor.dataSync() as Float32Array;
  return isTensorFlow() ? values : values.slice();
}

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
