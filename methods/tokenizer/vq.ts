import type * as tf from '@tensorflow/tfjs-core';
import { blocks, encode } from '../../electron/engine/encoder.ts';
import { all, type Images } from '../../electron/engine/layers/embed.ts';
import { embedRows, picture, tanh } from '../../electron/engine/layers/grid.ts';
import { linear } from '../../electron/engine/layers/linear.ts';
import { layerNorm } from '../../electron/engine/layers/norm.ts';
import { patchRows, type Tokens } from '../../electron/engine/layers/tokens.ts';
import type { Network } from '../../electron/engine/network.ts';
import {
  beitStart,
  blockSpecs,
  encoderSpecs,
  linearSpecs,
  normSpecs,
  type StartRules,
} from '../../electron/engine/parameters.ts';
import type { BufferSpec, ParameterSpec } from '../../electron/engine/specs.ts';
import type { Value } from '../../electron/engine/tape.ts';
import { cellsOf, encoderOf, type VQShape } from './shape.ts';

/** The codebook, `[V, width]`, each code of unit length. */
export const CODES = 'quantize.embedding.weight';
/** How many cells fell on each code, a running count. */
export const COUNTS = 'quantize.cluster_size';

/** Matrices by Xavier, which small tokenizers learn from; the rest as BEiT. */
export const xavierStart = (std: number): StartRules => ({
  ...beitStart(std),
  matrix: (to, from) => ({ kind: 'uniform', limit: Math.sqrt(6 / (from + to)) }),
  hasMaskToken: false,
});

/**
 * Names of beit2 (`VQKD`), but that the encoder stands where every encoder of the workbench does, without `encoder.`, and
 * its last LayerNorm is called `norm`: so it can be asked for features as any other.
 */
export function vqSpecs(shape: VQShape, rules: StartRules = xavierStart(0.02)): ParameterSpec[] {
  const { embed_dim: dim, width, decoder_depth: depth } = shape;
  const model = encoderOf(shape);
  const inDecoder = (specs: ParameterSpec[]) => specs.map((spec) => ({ ...spec, name: `decoder.${spec.name}` }));
  const head = (name: string, out: number) => [
    ...linearSpecs(`${name}.0`, dim, dim, rules),
    ...linearSpecs(`${name}.2`, out, dim, rules),
  ];
  return [
    ...encoderSpecs(model, rules),
    ...head('encode_task_layer', width),
    ...inDecoder([
      { name: 'cls_token', shape: [1, 1, dim], decay: false, init: rules.token },
      { name: 'pos_embed', shape: [1, 1 + cellsOf(shape) ** 2, dim], decay: false, init: rules.token },
      { name: 'patch_embed.proj.weight', shape: [dim, width, 1, 1], decay: true, init: rules.matrix(dim, width, null) },
      { name: 'patch_embed.proj.bias', shape: [dim], decay: false, init: { kind: 'constant', value: 0 } },
      ...blockSpecs('blocks.', { ...model, depth }, rules),
      ...normSpecs('fc_norm', dim),
    ]),
    ...head('decode_task_layer', 3 * shape.patch_size ** 2),
  ];
}

export const vqBuffers = ({ codes, width }: VQShape): BufferSpec[] => [
  { name: CODES, shape: [codes, width], value: 0 },
  { name: COUNTS, shape: [codes], value: 0 },
];

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
