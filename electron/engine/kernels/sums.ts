import * as tf from '@tensorflow/tfjs-core';
import { compiledKernel, floats, int, isCompiled, storageOf } from './device.ts';

/** Sum over rows, in floats. @param x `[rows, width]` @returns `[width]` */
export function columnSum(x: tf.Tensor2D): tf.Tensor1D {
  const storage = storageOf(x);
  if (!isCompiled(storage)) return columnSumPlain(x);
  return compiledKernel('ColumnSum', storage, [], [x], 1)[0] as tf.Tensor1D;
}

/** The same, operation by operation. */
export const columnSumPlain = (x: tf.Tensor2D): tf.Tensor1D => tf.tidy(() => tf.sum(floats(x), 0));

/** Sum of the squares of all values of one tensor of floats or more: a scalar. */
export function sumSquares(xs: readonly tf.Tensor[]): tf.Scalar {
  if (!isCompiled()) return sumSquaresPlain(xs);
  return compiledKernel('SumSquares', null, [int('count', xs.length)], xs, 1)[0] as tf.Scalar;
}

/** The same, operation by operation. */
export const sumSquaresPlain = (xs: readonly tf.Tensor[]): tf.Scalar =>
  tf.tidy(() => tf.sum(tf.stack(xs.map((x) => tf.sum(tf.square(x))))));
