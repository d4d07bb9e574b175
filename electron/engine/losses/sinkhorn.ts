import * as tf from '@tensorflow/tfjs-core';

export interface SinkhornOptions {
  /** Weight of the entropy: the smaller, the nearer each row comes to a single column. */
  epsilon: number;
  iterations: number;
}

/**
 * Codes that use all columns alike, as far as `iterations` bring them there (Sinkhorn and Knopp; SwAV, arXiv 2006.09882,
 * section 3.1): exp(scores / epsilon), whose columns and then whose rows are divided by their sums, time after time. It is
 * computed in logarithms and in floats, so that no epsilon makes a column of zeros.
 * @param scores `[rows, columns]` @returns the same shape, each row summing to one
 */
export function sinkhorn(scores: tf.Tensor2D, { epsilon, iterations }: SinkhornOptions): tf.Tensor2D {
  return tf.tidy(() => {
    let log = tf.div(scores, epsilon) as tf.Tensor2D;
    for (let i = 0; i < iterations; i++) {
      for (const axis of [0, 1]) log = tf.sub(log, tf.logSumExp(log, axis, true));
    }
    return tf.exp(log);
  });
}
