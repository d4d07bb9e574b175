import * as tf from '@tensorflow/tfjs-core';
import { store } from '../kernels/device.ts';
import { matMul } from '../kernels/matrices.ts';
import type { Network } from '../network.ts';
import { record } from '../tape.ts';
import { Tokens } from './tokens.ts';

/**
 * A product without bias whose rows have a length of their own (`torch.nn.utils.weight_norm`, arXiv 1602.07868; the last
 * layer of DINO's head, arXiv 2104.14294): row k of the matrix is g_k v_k / |v_k|.
 * @param name its parameters are NAME.weight_g `[out, 1]` and NAME.weight_v `[out, in]`
 * @returns `[rows, out]`, in floats
 */
export function weightNormed(network: Network, name: string, x: Tokens): Tokens {
  const { weights, storage } = network;
  const [g, v] = ['weight_g', 'weight_v'].map((of) => weights.get(`${name}.${of}`)) as [tf.Tensor2D, tf.Tensor2D];
  const input = store(x.tensor, storage);
  const [matrix, out] = tf.tidy(() => {
    const rows = store(tf.mul(g, directionOf(v).unit), storage) as tf.Tensor2D;
    return [rows, matMul(input, rows, { transposeB: true, storage: 'fp32' })];
  }) as [tf.Tensor2D, tf.Tensor2D];
  return record(
    new Tokens(out, x.batch),
    (dy, gradients) => {
      const stored = store(dy, storage);
      const [dg, dv] = tf.tidy(() => {
        const drows = matMul(stored, input, { transposeA: true, storage: 'fp32' }); // [out, in]
        const { unit, length } = directionOf(v);
        const along = tf.sum(tf.mul(drows, unit), 1, true); // [out, 1]
        return [along, tf.mul(tf.div(g, length), tf.sub(drows, tf.mul(unit, along)))];
      }) as [tf.Tensor2D, tf.Tensor2D];
      gradients.add(`${name}.weight_g`, dg);
      gradients.add(`${name}.weight_v`, dv);
      x.addGradient(matMul(stored, matrix, { storage: 'fp32' }));
      tf.dispose([dy, stored]);
    },
    [input, matrix],
  );
}

/** Rows of unit length, and the lengths that they had, `[out, 1]`; within a tidy. */
function directionOf(v: tf.Tensor2D): { unit: tf.Tensor; length: tf.Tensor } {
  const length = tf.sqrt(tf.sum(tf.square(v), 1, true));
  return { unit: tf.div(v, length), length };
}
