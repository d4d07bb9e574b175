import * as tf from '@tensorflow/tfjs-core';

const gate = (x: tf.Tensor) => tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);

/** The exact GELU, op by op: the reference that `gelu` is tested against. */
export const geluPlain = (x: tf.Tensor): tf.Tensor => tf.mul(x, gate(x));

/** The exact GELU, x Phi(x) (arXiv 1606.08415, section 2), with a gradient of its own; any shape. */
export function gelu(x: tf.Tensor): tf.Tensor {
  const op = tf.customGrad((...args: unknown[]) => {
    const [input, save] = args as [tf.Tensor, tf.GradSaveFunc];
    const phi = gate(input);
    save([input, phi]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [v, cdf] = saved as [tf.Tensor, tf.Tensor];
      const density = tf.mul(tf.exp(tf.mul(tf.square(v), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return tf.mul(dy, tf.add(cdf, tf.mul(v, density)));
    };
    return { value: tf.mul(input, phi), gradFunc };
  });
  return op(x);
}
