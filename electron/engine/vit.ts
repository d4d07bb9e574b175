import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig } from '../../shared/config.ts';
import { gridOf, patchesOf } from '../../shared/config.ts';
import { gatherRows } from './kernels/gather-rows.ts';
import { gelu } from './kernels/gelu.ts';
import { layerNorm } from './kernels/layer-norm.ts';

/** Named tensors of one model, in the published layouts. */
export type Parameters = ReadonlyMap<string, tf.Tensor>;

/** x W^T (+ b): `[rows, in]` by the published `[out, in]`. */
export function linear(x: tf.Tensor2D, weight: tf.Tensor, bias?: tf.Tensor): tf.Tensor2D {
  const y: tf.Tensor2D = tf.matMul(x, weight as tf.Tensor2D, false, true);
  return bias ? tf.add(y, bias) : y;
}

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

/**
 * For each pair of tokens (CLS first) its row in the relative position table: `[(K + 1)^2]`
 * (BEiT, arXiv 2106.08254; RelativePositionBias of modeling_finetune.py).
 */
export function relativePositionIndex(grid: number): Int32Array {
  const n = grid * grid + 1;
  const span = 2 * grid - 1;
  const index = new Int32Array(n * n);
  for (let i = 1; i < n; i++) {
    const [yi, xi] = [Math.floor((i - 1) / grid), (i - 1) % grid];
    for (let j = 1; j < n; j++) {
      const [yj, xj] = [Math.floor((j - 1) / grid), (j - 1) % grid];
      index[i * n + j] = (yi - yj + grid - 1) * span + (xi - xj + grid - 1);
    }
  }
  for (let j = 0; j < n; j++) {
    index[j] = span * span; // CLS to token
    index[j * n] = span * span + 1; // token to CLS
  }
  index[0] = span * span + 2; // CLS to CLS
  return index;
}

/** The bias that a block adds to its attention logits: `[1, heads, K + 1, K + 1]`. */
function relativePositionBias(table: tf.Tensor, model: ModelConfig): tf.Tensor4D {
  const n = patchesOf(model) + 1;
  const rows = gatherRows(table as tf.Tensor2D, relativePositionIndex(gridOf(model)));
  return tf.expandDims(tf.transpose(tf.reshape(rows, [n, n, model.num_heads]), [2, 0, 1]), 0) as tf.Tensor4D;
}

/** Sees the attention of a block as it is computed: `[batch, heads, 1 + K, 1 + K]`, each row summing to one. */
export type Witness = (block: number, probabilities: tf.Tensor4D) => void;

/** Multi-head self-attention. @param x `[batch * n, dim]` @param bias `[1, heads, n, n]` or null */
function attention(
  x: tf.Tensor2D,
  at: string,
  p: Parameters,
  model: ModelConfig,
  n: number,
  bias: tf.Tensor4D | null,
  witness?: (probabilities: tf.Tensor4D) => void,
): tf.Tensor2D {
  const { embed_dim: dim, num_heads: heads } = model;
  const batch = x.shape[0] / n;
  const width = dim / heads;
  const qBias = p.get(`${at}attn.q_bias`)!;
  // Keys have no bias: softmax would cancel it (BEiT).
  const qkvBias = tf.concat([qBias, tf.zerosLike(qBias), p.get(`${at}attn.v_bias`)!]);
  const qkv = linear(x, p.get(`${at}attn.qkv.weight`)!, qkvBias);
  const split = tf.transpose(tf.reshape(qkv, [batch, n, 3, heads, width]), [2, 0, 3, 1, 4]);
  const [q, k, v] = tf.unstack(split) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D]; // each [batch, heads, n, width]
  let logits: tf.Tensor = tf.matMul(tf.mul(q, width ** -0.5), k, false, true); // [batch, heads, n, n]
  if (bias) logits = tf.add(logits, bias);
  const probabilities = tf.softmax(logits) as tf.Tensor4D;
  witness?.(probabilities);
  const mixed = tf.matMul(probabilities, v); // [batch, heads, n, width]
  const joined = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch * n, dim]) as tf.Tensor2D;
  return linear(joined, p.get(`${at}attn.proj.weight`)!, p.get(`${at}attn.proj.bias`)!);
}

function mlp(x: tf.Tensor2D, at: string, p: Parameters): tf.Tensor2D {
  const hidden = gelu(linear(x, p.get(`${at}mlp.fc1.weight`)!, p.get(`${at}mlp.fc1.bias`)!));
  return linear(hidden as tf.Tensor2D, p.get(`${at}mlp.fc2.weight`)!, p.get(`${at}mlp.fc2.bias`)!);
}

export interface EncodeOptions {
  /**
   * Blocks that are run; after fewer than all the last LayerNorm follows too (DINOv2's `get_intermediate_layers`,
   * arXiv 2304.07193).
   */
  until?: number;
  /** Is shown the attention of every block that is run. */
  witness?: Witness;
  /** Asked before each residual branch is added for its factors, `[batch, 1, 1]`; null for 1. */
  dropPath?: (block: number) => tf.Tensor | null;
}

/**
 * The encoder: patches, mask token in the place of masked ones, CLS, blocks, last LayerNorm
 * (`VisionTransformerForMaskedImageModeling.forward_features`).
 * @param x `[batch, side, side, 3]`, normalised @param mask `[batch, K]`, 1 = masked, or null for none
 * A classifier that was made of it has a table of relative positions in each block, and may have no last LayerNorm.
 * @returns tokens `[batch, 1 + K, dim]`, CLS first. The caller owns them (call it within a tidy).
 */
export function encode(
  p: Parameters,
  model: ModelConfig,
  x: tf.Tensor4D,
  mask: tf.Tensor2D | null,
  { until = model.depth, witness, dropPath }: EncodeOptions = {},
): tf.Tensor3D {
  const [batch, K, dim] = [x.shape[0], patchesOf(model), model.embed_dim];
  const kernel = tf.reshape(p.get('patch_embed.proj.weight')!, [dim, 3 * model.patch_size ** 2]);
  let patches: tf.Tensor = linear(patchify(x, model), kernel, p.get('patch_embed.proj.bias')!); // [batch * K, dim]
  patches = tf.reshape(patches, [batch, K, dim]);
  if (mask) {
    const w = tf.expandDims(mask, -1); // [batch, K, 1]
    patches = tf.add(tf.mul(patches, tf.sub(1, w)), tf.mul(p.get('mask_token')!, w));
  }
  const cls = tf.broadcastTo(p.get('cls_token')!, [batch, 1, dim]);
  let tokens: tf.Tensor = tf.concat([cls, patches], 1); // [batch, 1 + K, dim]
  if (model.position === 'absolute') tokens = tf.add(tokens, p.get('pos_embed')!);
  const shared = p.get('rel_pos_bias.relative_position_bias_table');
  const sharedBias = shared ? relativePositionBias(shared, model) : null;

  const n = K + 1;
  const eps = model.layer_norm_eps;
  let t = tf.reshape(tokens, [batch * n, dim]) as tf.Tensor2D;
  for (let i = 0; i < until; i++) {
    const at = `blocks.${i}.`;
    const scaled = (branch: tf.Tensor2D, gamma: string) => {
      const scale = p.get(at + gamma);
      const factors = dropPath?.(i);
      let added: tf.Tensor = scale ? tf.mul(scale, branch) : branch;
      if (factors) added = tf.reshape(tf.mul(tf.reshape(added, [batch, n, dim]), factors), [batch * n, dim]);
      return tf.add(t, added) as tf.Tensor2D;
    };
    const norm = (name: string) =>
      layerNorm(t, p.get(`${at}${name}.weight`)!, p.get(`${at}${name}.bias`)!, eps) as tf.Tensor2D;
    const own = p.get(`${at}attn.relative_position_bias_table`);
    const bias = own ? relativePositionBias(own, model) : sharedBias;
    t = scaled(attention(norm('norm1'), at, p, model, n, bias, witness && ((seen) => witness(i, seen))), 'gamma_1');
    t = scaled(mlp(norm('norm2'), at, p), 'gamma_2');
  }
  const scale = p.get('norm.weight');
  return tf.reshape(scale ? layerNorm(t, scale, p.get('norm.bias')!, eps) : t, [batch, n, dim]);
}
