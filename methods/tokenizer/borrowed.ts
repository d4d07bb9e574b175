import * as tf from '@tensorflow/tfjs-core';
import { hostTidy } from '../../electron/engine/host.ts';
import { type Images, imageTensor } from '../../electron/engine/layers/embed.ts';
import { nearest } from '../../electron/engine/layers/quantize.ts';
import { Tokens, unit } from '../../electron/engine/layers/tokens.ts';
import type { Network } from '../../electron/engine/network.ts';
import { frozen, record, Value } from '../../electron/engine/tape.ts';
import { dvaeLogits } from './dvae.ts';
import { TOKENIZER } from './lending.ts';
import { encoderOf, type TokenizerShape } from './shape.ts';
import { CODES } from './specs.ts';
import { latentsOf } from './vq.ts';

/** Computes with the tokenizer of a network. */
export const withTokenizer = <R>(network: Network, shape: TokenizerShape, compute: (tokenizer: Network) => R): R =>
  network.part(TOKENIZER, shape.kind === 'vq' ? encoderOf(shape) : network.model, compute);

/** Of each cell its token: `[batch * cells]`. @param images `[batch, side, side, 3]`, -1 to 1 */
export function idsOf(network: Network, images: Images, shape: TokenizerShape): Int32Array {
  if (shape.kind === 'vq')
    return withTokenizer(network, shape, (tokenizer) => {
      const rows = frozen(() => unit(latentsOf(tokenizer, images)));
      return nearest(rows.tensor, tokenizer.buffer(CODES) as tf.Tensor2D);
    });
  const logits = logitsOf(network, images, shape);
  return Int32Array.from(hostTidy(() => tf.argMax(logits.tensor, 1)));
}

/**
 * How well each token suits each cell: `[batch * cells, V]`, the greatest is the cell's own. Of a codebook of unit codes
 * cosines, which have to be divided by a small temperature. No gradient comes through it.
 */
export function logitsOf(network: Network, images: Images, shape: TokenizerShape): Tokens {
  return withTokenizer(network, shape, (tokenizer) =>
    frozen(() => {
      if (shape.kind === 'dvae') {
        const x = record(new Value(imageTensor(images, shape.image_size)));
        return dvaeLogits(tokenizer, x, shape.layers);
      }
      const rows = unit(latentsOf(tokenizer, images));
      const codes = tokenizer.buffer(CODES) as tf.Tensor2D;
      return record(new Tokens(tf.matMul(rows.tensor, codes, false, true), rows.batch));
    }),
  );
}
