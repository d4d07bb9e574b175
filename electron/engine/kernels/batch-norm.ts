import * as tf from '@tensorflow/tfjs-core';

/** A batch's statistics: mean and biased variance over the rows, `[width]` each. */
export function batchMoments(x: tf.Tensor2D): { mean: tf.Tensor1D; variance: tf.Tensor1D } {
  const { mean, variance } = tf.moments(x, 0);
  return { mean: mean as tf.Tensor1D, variance: variance as tf.Tensor1D };
}

/** BatchNorm on batch statistics without scale and shift, op by op: the reference for `batchNormalize`. */
export function batchNormalizePlain(x: tf.Tensor2D, eps: number): tf.Tensor2D {
  const { mean, variance } = batchMoments(x);
  return tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, eps)));
}

/**
 * BatchNorm (arXiv 1502.03167) on the batch's own statistics, without scale and shift, with a gradient of its own.
 * @param x `[rows, width]`
 */
export function batchNormalize(x: tf.Tensor2D, eps: number): tf.Tensor2D {
  const op = tf.customGrad((...args: unknown[]) => {
    const [input, save] = args as [tf.Tensor, tf.GradSaveFunc];
    const centred = tf.sub(input, tf.mean(input, 0));
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), 0), eps));
    const value = tf.mul(centred, inverse);
    save([value, inverse]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [xhat, rstd] = saved as [tf.Tensor, tf.Tensor];
      const projected = tf.mul(xhat, tf.mean(tf.mul(dy, xhat), 0));
      return tf.mul(rstd, tf.sub(tf.sub(dy, tf.mean(dy, 0)), projected));
    };
    return { value, gradFunc };
  });
  return op(x) as tf.Tensor2D;
}
