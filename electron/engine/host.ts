import type * as tf from '@tensorflow/tfjs-core';

/** A tensor's values as an array of our own: some backends give a view of theirs. */
export const hostCopy = (tensor: tf.Tensor): Float32Array => (tensor.dataSync() as Float32Array).slice();
