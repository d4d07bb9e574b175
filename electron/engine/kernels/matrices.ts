import * as tf from '@tensorflow/tfjs-core';
import { bool, execute, floats, isTensorFlow, storageOf, store, type } from './device.ts';

let widens = false;
/**
 * Says that the processor has no 16-bit products of its own. TensorFlow's are then many times slower than those of
 * floats; operands are made floats, and the product is rounded once: what a processor that has them computes.
 */
export function widenProducts(widen: boolean): void {
  widens = widen;
}

/** A product of matrices, or of stacks of them; both operands of one storage, which the product has too. */
export function matMul<T extends tf.Tensor>(a: T, b: T, transposeA = false, transposeB = false): T {
  if (!isTensorFlow()) return tf.matMul(a, b, transposeA, transposeB);
  const storage = storageOf(a);
  if (widens && storage !== 'fp32')
    return tf.tidy(() => store(matMul(floats(a), floats(b), transposeA, transposeB), storage));
  const t = type('T', storage);
  const [product] =
    a.rank === 2
      ? execute('MatMul', [t, bool('transpose_a', transposeA), bool('transpose_b', transposeB)], [a, b])
      : execute('BatchMatMulV2', [t, bool('adj_x', transposeA), bool('adj_y', transposeB)], [a, b]);
  return product as T;
}

/** Another shape of the same values, of any storage. */
export function reshape<T extends tf.Tensor>(x: tf.Tensor, shape: number[]): T {
  const storage = storageOf(x);
  if (storage === 'fp32') return tf.reshape(x, shape) as T;
  return withIntegers(shape, (to) => execute('Reshape', [type('T', storage), INT32('Tshape')], [x, to])[0] as T);
}

/** Exchanges axes of a tensor of any storage. */
export function transpose(x: tf.Tensor, axes: number[]): tf.Tensor {
  const storage = storageOf(x);
  if (storage === 'fp32') return tf.transpose(x, axes);
  return withIntegers(axes, (to) => execute('Transpose', [type('T', storage), INT32('Tperm')], [x, to])[0]!);
}

/** TensorFlow's type of 32-bit integers as an attribute. */
const INT32 = (name: string) => ({ ...type(name, 'fp32'), value: 3 });

function withIntegers<T>(values: number[], act: (tensor: tf.Tensor1D) => T): T {
  const tensor = tf.tensor1d(values, 'int32');
  try {
    return act(tensor);
  } finally {
    tensor.dispose();
  }
}
