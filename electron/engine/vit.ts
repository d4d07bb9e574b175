import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig } from '../../shared/config.ts';
import { gridOf, patchesOf } from '../../shared/config.ts';
import { type BlockActivations, type BlockContext, blockBackward, blockForward, probabilitiesOf } from './block.ts';
import { store } from './kernels/device.ts';
import { layerNorm, layerNormGradient } from './kernels/layer-norm.ts';
import { reshape } from './kernels/matrices.ts';
import { columnSum } from './kernels/sums.ts';
import { linear, weightGradient } from './linear.ts';
import { relativePositionBias, relativePositionGradient } from './position.ts';
import type { Gradients, Weights } from './weights.ts';

export const SHARED_TABLE = 'rel_pos_bias.relative_position_bias_table';

/**
 * Images as rows of patches, each patch's values in the order of a convolution's weight (channel, y, x).
 * @param x `[batch, side, side, 3]` @returns `[batch * K, 3 * patch * patch]`
 */
export function patchify(x: tf.Tensor4D, model: ModelConfig): tf.Tensor2D {
  const [g, p, batch] = [gridOf(model), model.patch_size, x.shape[0]];
  return tf.tidy(() => {
    const cells = tf.reshape(x, [batch, g, p, g, p, 3]);
    return tf.reshape(tf.transpose(cells, [0, 1, 3, 5, 2, 4]), [batch * g * g, 3 * p * p]);
  });
}

/** Sees the attention of a block as it is computed: `[batch, heads, 1 + K, 1 + K]`, each row summing to one. */
export type Witness = (block: number, probabilities: tf.Tensor4D) => void;

export interface EncodeOptions {
  /**
   * Blocks that are run; after fewer than all the last LayerNorm follows too (DINOv2's `get_intermediate_layers`,
   * arXiv 2304.07193).
   */
  until?: number;
  /** Is shown the attention of every block that is run. */
  witness?: Witness;
  /** Asked before each residual branch for its factors, `[batch]`, which it gives away; null for 1. */
  dropPath?: (block: number) => tf.Tensor1D | null;
  /**
   * What is kept for `encodeBackward`: nothing, all activations, or only each block's input, from which the backward
   * pass computes the others again (arXiv 1604.06174).
   */
  keep?: 'nothing' | 'all' | 'inputs';
}

/** A block as the backward pass finds it. */
interface KeptBlock {
  context: BlockContext;
  /** All that it needs, or only its input. */
  kept: BlockActivations | tf.Tensor2D;
  hasOwnTable: boolean;
}

/** What an encoder's forward pass keeps; given away to `encodeBackward`. */
export interface EncoderTape {
  weights: Weights;
  model: ModelConfig;
  patches: tf.Tensor2D;
  mask: tf.Tensor2D | null;
  batch: number;
  blocks: KeptBlock[];
  sharedBias: tf.Tensor3D | null;
  last: { x: tf.Tensor2D; stats: tf.Tensor2D } | null;
}

/**
 * The encoder: patches, mask token in the place of masked ones, CLS, blocks, last LayerNorm
 * (`VisionTransformerForMaskedImageModeling.forward_features`). A classifier that was made of it has a table of relative
 * positions in each block, and may have no last LayerNorm.
 * @param x `[batch, side, side, 3]`, normalised @param mask `[batch, K]`, 1 = masked, or null for none
 * @returns tokens `[batch, 1 + K, dim]`, CLS first, in the weights' storage. The caller owns them and the tape.
 */
export function encode(
  weights: Weights,
  model: ModelConfig,
  x: tf.Tensor4D,
  mask: tf.Tensor2D | null,
  { until = model.depth, witness, dropPath, keep = 'nothing' }: EncodeOptions = {},
): { tokens: tf.Tensor3D; tape: EncoderTape | null } {
  const [batch, n, dim] = [x.shape[0], patchesOf(model) + 1, model.embed_dim];
  const patches = tf.tidy(() => store(patchify(x, model), weights.storage) as tf.Tensor2D);
  let t = embed(weights, model, patches, mask, batch);
  const shared = weights.find(SHARED_TABLE);
  const sharedBias = shared && relativePositionBias(shared, model);
  const blocks: KeptBlock[] = [];
  for (let i = 0; i < until; i++) {
    const at = `blocks.${i}.`;
    const own = weights.find(`${at}attn.relative_position_bias_table`);
    const bias = own ? relativePositionBias(own, model) : sharedBias;
    const factors = [dropPath?.(i) ?? null, dropPath?.(i) ?? null] as const;
    const context: BlockContext = { weights, model, at, n, bias, factors };
    const { out, activations } = blockForward(context, t);
    if (witness) {
      const probabilities = probabilitiesOf(context, activations);
      witness(i, probabilities);
      probabilities.dispose();
    }
    if (keep === 'all') {
      blocks.push({ context, kept: activations, hasOwnTable: own !== null });
    } else {
      const { x: input, ...others } = activations;
      tf.dispose(Object.values(others));
      if (keep === 'inputs') blocks.push({ context, kept: input, hasOwnTable: own !== null });
      else tf.dispose([input, ...ownedBy(context, own !== null)]);
    }
    t = out;
  }
  const scale = weights.find('norm.weight');
  let y = t;
  let last: EncoderTape['last'] = null;
  if (scale) {
    const normal = layerNorm(t, scale, weights.get('norm.bias'), model.layer_norm_eps, weights.storage);
    y = normal.y;
    last = { x: t, stats: normal.stats };
  }
  const tokens = reshape<tf.Tensor3D>(y, [batch, n, dim]);
  y.dispose();
  if (keep === 'nothing') {
    tf.dispose([patches, ...(sharedBias ? [sharedBias] : []), ...(last ? [last.x, last.stats] : [])]);
    return { tokens, tape: null };
  }
  return { tokens, tape: { weights, model, patches, mask, batch, blocks, sharedBias, last } };
}

/** Tensors that were made for one block: its own bias, and its factors. */
const ownedBy = ({ bias, factors }: BlockContext, hasOwnTable: boolean): tf.Tensor[] =>
  [hasOwnTable ? bias : null, ...factors].filter((tensor) => tensor !== null);

/** Patches as tokens: `[batch * (1 + K), dim]`, CLS first. */
function embed(weights: Weights, model: ModelConfig, patches: tf.Tensor2D, mask: tf.Tensor2D | null, batch: number) {
  const [K, dim] = [patchesOf(model), model.embed_dim];
  return tf.tidy(() => {
    const product = linear(patches, weights, 'patch_embed.proj.weight', 'fp32'); // [batch * K, dim]
    let tokens: tf.Tensor = tf.reshape(tf.add(product, weights.get('patch_embed.proj.bias')), [batch, K, dim]);
    if (mask) {
      const w = tf.expandDims(mask, -1); // [batch, K, 1]
      tokens = tf.add(tf.mul(tokens, tf.sub(1, w)), tf.mul(weights.get('mask_token'), w));
    }
    tokens = tf.concat([tf.broadcastTo(weights.get('cls_token'), [batch, 1, dim]), tokens], 1);
    if (model.position === 'absolute') tokens = tf.add(tokens, weights.get('pos_embed'));
    return tf.reshape(tokens, [batch * (K + 1), dim]) as tf.Tensor2D;
  });
}

/**
 * Adds the gradients of an encoder's parameters to `gradients`. The tape and `dtokens` are taken.
 * @param dtokens `[batch * (1 + K), dim]`: in the weights' storage where a last LayerNorm follows the blocks, else floats
 */
export function encodeBackward(tape: EncoderTape, dtokens: tf.Tensor2D, gradients: Gradients): void {
  const { weights, model, patches, mask, batch, blocks, sharedBias, last } = tape;
  let dt = dtokens;
  if (last) {
    const into = tf.zerosLike(last.x);
    const { dx, dw, db } = layerNormGradient(dtokens, last.x, weights.get('norm.weight'), last.stats, into);
    gradients.add('norm.weight', dw);
    gradients.add('norm.bias', db);
    tf.dispose([dtokens, last.x, last.stats]);
    dt = dx;
  }
  let dshared: tf.Tensor3D | null = null;
  for (const { context, kept, hasOwnTable } of blocks.reverse()) {
    let activations: BlockActivations;
    if (kept instanceof tf.Tensor) {
      const again = blockForward(context, kept);
      again.out.dispose();
      activations = again.activations;
    } else activations = kept;
    const { dx, dbias } = blockBackward(context, activations, dt, gradients);
    dt = dx;
    if (dbias && hasOwnTable) {
      gradients.add(`${context.at}attn.relative_position_bias_table`, relativePositionGradient(dbias, model));
    } else if (dbias) {
      const sum: tf.Tensor3D = dshared ? tf.add(dshared, dbias) : dbias;
      if (dshared) tf.dispose([dshared, dbias]);
      dshared = sum;
    }
    tf.dispose(ownedBy(context, hasOwnTable));
  }
  if (dshared) gradients.add(SHARED_TABLE, relativePositionGradient(dshared, model));
  sharedBias?.dispose();
  embedBackward(weights, model, patches, mask, batch, dt, gradients);
  tf.dispose([patches, dt]);
}

function embedBackward(
  weights: Weights,
  model: ModelConfig,
  patches: tf.Tensor2D,
  mask: tf.Tensor2D | null,
  batch: number,
  dt: tf.Tensor2D,
  gradients: Gradients,
): void {
  const [K, dim] = [patchesOf(model), model.embed_dim];
  const tokens = tf.reshape(dt, [batch, K + 1, dim]) as tf.Tensor3D;
  const ofPosition = tf.tidy(() => tf.sum(tokens, 0, true)); // [1, 1 + K, dim]
  gradients.add('cls_token', tf.slice(ofPosition, [0, 0, 0], [1, 1, dim]));
  if (model.position === 'absolute') gradients.add('pos_embed', ofPosition);
  else ofPosition.dispose();
  let dpatches: tf.Tensor = tf.slice(tokens, [0, 1, 0], [batch, K, dim]);
  tokens.dispose();
  if (mask) {
    const all = dpatches;
    const [masked, seen] = tf.tidy(() => {
      const w = tf.expandDims(mask, -1);
      return [tf.reshape(tf.sum(tf.mul(all, w), [0, 1]), [1, 1, dim]), tf.mul(all, tf.sub(1, w))];
    }) as [tf.Tensor, tf.Tensor];
    all.dispose();
    gradients.add('mask_token', masked);
    dpatches = seen;
  }
  const rows = tf.reshape(dpatches, [batch * K, dim]) as tf.Tensor2D;
  gradients.add('patch_embed.proj.bias', columnSum(rows));
  const stored = store(rows, weights.storage);
  weightGradient(stored, patches, weights, 'patch_embed.proj.weight', gradients);
  tf.dispose([dpatches, rows, stored]);
}
