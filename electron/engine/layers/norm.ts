import * as tf from '@tensorflow/tfjs-core';
import { layerNorm as kernel, layerNormGradient } from '../kernels/layer-norm.ts';
import type { Network } from '../network.ts';
import { record } from '../tape.ts';
import { Tokens } from './tokens.ts';

/**
 * LayerNorm over the width (arXiv 1607.06450). @param name its parameters are NAME.weight and NAME.bias
 * @param x in floats @returns in the network's storage
 */
export function layerNorm(network: Network, name: string, x: Tokens, eps: number): Tokens {
  const { weights } = network;
  const [w, b] = [weights.get(`${name}.weight`), weights.get(`${name}.bias`)];
  const { y, stats } = kernel(x.tensor, w, b, eps, weights.storage);
  return record(
    new Tokens(y, x.batch),
    (dy, gradients) => {
      const into: tf.Tensor2D = tf.zerosLike(x.tensor);
      const { dx, dw, db } = layerNormGradient(dy, x.tensor, w, stats, into);
      gradients.add(`${name}.weight`, dw);
      gradients.add(`${name}.bias`, db);
      dy.dispose();
      x.addGradient(dx);
    },
    [stats],
  );
}
