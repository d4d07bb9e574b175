import * as tf from '@tensorflow/tfjs-core';

/**
 * Rows of a table by index. tfjs's own gradient of `gather` needs a kernel that the WASM backend lacks; this one's is
 * a `scatterND`, which sums repeated indices.
 * @param table `[rows, width]` @param index `[n]` @returns `[n, width]`
 */
export function gatherRows(table: tf.Tensor2D, index: Int32Array): tf.Tensor2D {
  const op = tf.customGrad((...args: unknown[]) => {
    const [t] = args as [tf.Tensor];
    const shape = t.shape as [number, number];
    return {
      value: tf.gather(t, tf.tensor1d(index, 'int32')),
      gradFunc: (dy: tf.Tensor) => tf.scatterND(tf.tensor2d(index, [index.length, 1], 'int32'), dy, shape),
    };
  });
  return op(table) as tf.Tensor2D;
}
