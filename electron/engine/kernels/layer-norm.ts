import * as tf from '@tensorflow/tfjs-core';

/** LayerNorm over the last axis, op by op: the reference that `layerNorm` is tested against. */
export function layerNormPlain(x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor, eps: number): tf.Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, eps))), weight), bias);
}

/**
 * LayerNorm over the last axis (arXiv 1607.06450) with a gradient of its own, which keeps two tensors where the tape
 * would keep six.
 * @param x `[..., dim]` @param weight `[dim]` @param bias `[dim]`
 */
export function layerNorm(x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor, eps: number): tf.Tensor {
  const op = tf.customGrad((...args: unknown[]) => {
    const [input, w, b, save] = args as [tf.Tensor, tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const mean = tf.mean(input, -1, true);
    const centred = tf.sub(input, mean);
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), eps));
    const normal = tf.mul(centred, inverse);
    const value = tf.add(tf.mul(normal, w), b);
    save([normal, inverse, w]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [xhat, rstd, scale] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
      const rows = xhat.shape.slice(0, -1).map((_, i) => i);
      const dyXhat = tf.mul(dy, xhat);
      const g = tf.mul(dy, scale);
      const projected = tf.mul(xhat, tf.mean(tf.mul(g, xhat), -1, true));
      const dx = tf.mul(rstd, tf.sub(tf.sub(g, tf.mean(g, -1, true)), projected));
      return [dx, tf.sum(dyXhat, rows), tf.sum(dy, rows)];
    };
    return { value, gradFunc };
  });
  return op(x, weight, bias);
}
