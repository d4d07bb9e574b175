import * as tf from '@tensorflow/tfjs-core';
import { compiledKernel, floats, isCompiled, storageOf, store } from './device.ts';

/**
 * The exact GELU, x Phi(x) (arXiv 1606.08415, section 2), of `h + bias`.
 * @param h `[rows, width]` @param bias `[width]`
 */
export function gelu(h: tf.Tensor2D, bias: tf.Tensor): tf.Tensor2D {
  const storage = storageOf(h);
  if (!isCompiled(storage)) return geluPlain(h, bias);
  return compiledKernel('Gelu', storage, [], [h, bias], 1)[0] as tf.Tensor2D;
}

const gate = (x: tf.Tensor) => tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);

/** The same, operation by operation. */
export function geluPlain(h: tf.Tensor2D, bias: tf.Tensor): tf.Tensor2D {
  return tf.tidy(() => {
    const x = tf.add(floats(h), bias);
    return store(tf.mul(x, gate(x)), storageOf(h)) as tf.Tensor2D;
  });
}

/** What the way back through a GELU gives: gradients of `h` and of the bias, and the output once more. */
export interface GeluGradients {
  dh: tf.Tensor2D;
  db: tf.Tensor;
  y: tf.Tensor2D;
}

/** Its gradients. Disposes of `dy` and `h`; compiled, `dh` and `y` reuse their memory. */
export function geluGradient(dy: tf.Tensor2D, h: tf.Tensor2D, bias: tf.Tensor): GeluGradients {
  const storage = storageOf(h);
  if (!isCompiled(storage)) return geluGradientPlain(dy, h, bias);
  const [db] = compiledKernel('GeluGrad', storage, [], [dy, h, bias], 1);
  return { dh: dy, db: db!, y: h };
}

/** The same, operation by operation. */
export function geluGradientPlain(dy: tf.Tensor2D, h: tf.Tensor2D, bias: tf.Tensor): GeluGradients {
  const y = geluPlain(h, bias);
  const [dh, db] = tf.tidy(() => {
    const x = tf.add(floats(h), bias);
    const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    const g = tf.mul(floats(dy), tf.add(gate(x), tf.mul(x, density)));
    return [store(g, storageOf(h)), tf.sum(g, 0)];
  }) as [tf.Tensor2D, tf.Tensor];
  tf.dispose([dy, h]);
  return { dh, db, y };
}
