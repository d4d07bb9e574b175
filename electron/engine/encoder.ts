import * as tf from '@tensorflow/tfjs-core';
import { type BlockShape, block, type Witness } from './layers/block.ts';
import { embed, type Seen } from './layers/embed.ts';
import { layerNorm } from './layers/norm.ts';
import { positionBias } from './layers/position.ts';
import type { Tokens } from './layers/tokens.ts';
import type { Network } from './network.ts';
import { ownTable, SHARED_TABLE } from './parameters.ts';
import { release } from './tape.ts';

/**
 * Stochastic depth (arXiv 1603.09382): by what each image's residual branch is multiplied, `[batch]`, null for 1. The
 * attention branch of the first block, its MLP's, those of the second, and so on.
 */
export type DropPath = readonly (Float32Array | null)[];

export interface BlocksOptions {
  /** Blocks that are run. */
  until?: number;
  /** Is shown the attention of every block that is run. */
  witness?: Witness;
  dropPath?: DropPath | undefined;
}

/** The blocks of a transformer, one after the other. `x` is not read again where nothing is recorded. */
export function blocks(network: Network, shape: BlockShape, input: Tokens, options: BlocksOptions = {}): Tokens {
  const { until = shape.depth, witness, dropPath } = options;
  const shared = positionBias(network, SHARED_TABLE, input.n);
  let x = input;
  for (let i = 0; i < until; i++) {
    const own = positionBias(network, ownTable(shape.prefix, i), input.n);
    const factors = [factorsOf(dropPath?.[2 * i]), factorsOf(dropPath?.[2 * i + 1])] as const;
    const y = block(network, shape, i, x, { bias: own ?? shared, factors, witness });
    release(x);
    if (own) release(own);
    x = y;
  }
  if (shared) release(shared);
  return x;
}

const factorsOf = (factors: Float32Array | null = null) => factors && tf.tensor1d(factors);

/**
 * The encoder: tokens, blocks, last LayerNorm (`VisionTransformerForMaskedImageModeling.forward_features`). A classifier
 * that was made of it has a table of relative positions in each block, and may have no last LayerNorm.
 * @param options after fewer than all blocks the last LayerNorm follows too (DINOv2's `get_intermediate_layers`, arXiv
 *   2304.07193)
 * @returns `[batch * (1 + n), dim]`, CLS first, in the network's storage
 */
export function encode(network: Network, seen: Seen, options: BlocksOptions = {}): Tokens {
  const { depth, num_heads: heads, layer_norm_eps: eps } = network.model;
  const x = blocks(network, { prefix: 'blocks.', depth, heads, eps }, embed(network, seen), options);
  if (!network.weights.find('norm.weight')) return x;
  const y = layerNorm(network, 'norm', x, eps);
  release(x);
  return y;
}

/**
 * Tokens after some of the blocks, in one pass, as they are: without the last LayerNorm.
 * @param x `[batch * (1 + K), dim]`, as `embed` or `embedRows` gives them @param after numbers of blocks, rising
 */
export function taps(network: Network, x: Tokens, after: readonly number[]): Tokens[] {
  const { num_heads: heads, layer_norm_eps: eps } = network.model;
  const shared = positionBias(network, SHARED_TABLE, x.n);
  const found: Tokens[] = [];
  let y = x;
  for (let i = 0; i < after.at(-1)!; i++) {
    y = block(network, { prefix: 'blocks.', depth: after.at(-1)!, heads, eps }, i, y, { bias: shared });
    if (after.includes(i + 1)) found.push(y);
  }
  return found;
}
