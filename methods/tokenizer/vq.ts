import type * as tf from '@tensorflow/tfjs-core';
import { blocks, encode } from '../../electron/engine/encoder.ts';
import { all, type Images } from '../../electron/engine/layers/embed.ts';
import { embedRows, picture, tanh } from '../../electron/engine/layers/grid.ts';
import { linear } from '../../electron/engine/layers/linear.ts';
import { layerNorm } from '../../electron/engine/layers/norm.ts';
import { patchRows, type Tokens } from '../../electron/engine/layers/tokens.ts';
import type { Network } from '../../electron/engine/network.ts';
import type { Value } from '../../electron/engine/tape.ts';
import { encoderOf, type VQShape } from './shape.ts';

/** A linear layer, tanh, and another. */
const head = (network: Network, name: string, x: Tokens): Tokens =>
  linear(network, `${name}.2`, tanh(linear(network, `${name}.0`, x)));

/** What an image is to be told by, before its length is taken: `[batch * cells, width]`. @param images -1 to 1 */
export const latentsOf = (network: Network, images: Images): Tokens =>
  head(network, 'encode_task_layer', patchRows(encode(network, all(images))));

/** The picture of codes, `[batch, side, side, 3]`, -1 to 1. @param codes `[batch * cells, width]` */
export function pictureOf(network: Network, codes: Tokens, shape: VQShape): Value<tf.Tensor4D> {
  const model = { ...encoderOf(shape, network.model), depth: shape.decoder_depth };
  const { depth, num_heads: heads, layer_norm_eps: eps } = model;
  const decoded = network.part('decoder.', model, (decoder) =>
    patchRows(
      layerNorm(
        decoder,
        'fc_norm',
        blocks(decoder, { prefix: 'blocks.', depth, heads, eps }, embedRows(decoder, codes)),
        eps,
      ),
    ),
  );
  return picture(head(network, 'decode_task_layer', decoded), shape.patch_size);
}
