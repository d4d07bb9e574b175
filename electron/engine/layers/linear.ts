import * as tf from '@tensorflow/tfjs-core';
import { storageOf, store } from '../kernels/device.ts';
import { columnSum } from '../kernels/sums.ts';
import { linearGradient, linear as product } from '../linear.ts';
import type { Network } from '../network.ts';
import { record } from '../tape.ts';
import { Tokens } from './tokens.ts';

/**
 * x W^T + b for every token, in floats. @param name of the layer: its parameters are NAME.weight `[out, in]` and, where it
 * has one, NAME.bias `[out]`
 * @returns `[batch * n, out]`
 */
export function linear(network: Network, name: string, x: Tokens): Tokens {
  const { weights } = network;
  const input = store(x.tensor, weights.storage);
  const bias = weights.find(`${name}.bias`);
  const out = tf.tidy(() => {
    const y = product(input, weights, `${name}.weight`, 'fp32');
    return bias ? tf.add(y, bias) : y;
  }) as tf.Tensor2D;
  return record(
    new Tokens(out, x.batch),
    (dy, gradients) => {
      if (bias) gradients.add(`${name}.bias`, columnSum(dy));
      const stored = store(dy, weights.storage);
      const dx = linearGradient(stored, input, weights, `${name}.weight`, gradients);
      x.addGradient(store(dx, storageOf(x.tensor)));
      tf.dispose([dy, stored, dx]);
    },
    [input],
  );
}
