import * as tf from '@tensorflow/tfjs-core';
import { compiledKernel, int, isCompiled } from './device.ts';

/** Values that are handed over at once: TensorFlow takes a copy of them in memory that it never gives back. */
const PIECE = 1 << 20;

/**
 * A tensor with memory of its own: TensorFlow.js lets a tensor lie where the array does that it was made of, and
 * parameters are written to in place.
 */
export function ownTensor(data: Float32Array, shape: number[]): tf.Tensor {
  if (!isCompiled()) return tf.tidy(() => tf.mul(tf.tensor(data, shape), 1));
  const tensor = ownZeros(shape);
  for (let offset = 0; offset < data.length; offset += PIECE) {
    const piece = tf.tensor1d(data.subarray(offset, offset + PIECE));
    compiledKernel('Write', null, [int('offset', offset)], [tensor, piece], 0);
    piece.dispose();
  }
  return tensor;
}

/** Zeros, with memory of their own too: `tf.zeros` is an array until it is used. */
export function ownZeros(shape: number[]): tf.Tensor {
  if (!isCompiled()) return tf.fill(shape, 0);
  const dims = tf.tensor1d(shape, 'int32');
  const [zeros] = compiledKernel('Zeros', null, [], [dims], 1);
  dims.dispose();
  return zeros!;
}
