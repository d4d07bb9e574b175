import * as tf from '@tensorflow/tfjs-core';

/** Rows of a table by index. @param table `[rows, width]` @param index `[n]` @returns `[n, width]` */
export const gatherRows = (table: tf.Tensor2D, index: Int32Array): tf.Tensor2D =>
  tf.tidy(() => tf.gather(table, tf.tensor1d(index, 'int32')));

/**
 * Its gradient: rows that were asked for again are summed. By `scatterND`, because tfjs's own gradient of `gather` needs
 * a kernel that the WASM backend lacks.
 * @param dy `[n, width]` @returns `[rows, width]`
 */
export const gatherRowsGradient = (dy: tf.Tensor2D, index: Int32Array, rows: number): tf.Tensor2D =>
  tf.tidy(() => tf.scatterND(tf.tensor2d(index, [index.length, 1], 'int32'), dy, [rows, dy.shape[1]]));
