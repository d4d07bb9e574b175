import * as tf from '@tensorflow/tfjs-core';
import { compiledKernel, floats, isCompiled, storageOf } from './device.ts';

/** Sum over rows, in floats. @param x `[rows, width]` @returns `[width]` */
export function columnSum(x: tf.Tensor2D): tf.Tensor1D {
  const storage = storageOf(x);
  if (!isCompiled(storage)) return columnSumPlain(x);
  return compiledKernel('ColumnSum', storage, [], [x], 1)[0] as tf.Tensor1D;
}

/** The same, operation by operation. */
export const columnSumPlain = (x: tf.Tensor2D): tf.Tensor1D => tf.tidy(() => tf.sum(floats(x), 0));

/** Sum of squares of floats: a scalar. */
export function sumSquares(x: tf.Tensor): tf.Scalar {
  if (!isCompiled()) return sumSquaresPlain(x);
  return compiledKernel('SumSquares', 'fp32', [], [x], 1)[0] as tf.Scalar;
}

/** The same, operation by operation. */
export const sumSquaresPlain = (x: tf.Tensor): tf.Scalar => tf.tidy(() => tf.sum(tf.square(x)));
