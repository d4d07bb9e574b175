import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig } from '../../shared/config.ts';
import { type AttentionInputs, attention, attentionGradient, attentionProbabilities } from './kernels/attention.ts';
import { gelu, geluGradient } from './kernels/gelu.ts';
import { layerNorm, layerNormGradient } from './kernels/layer-norm.ts';
import { residual, residualGradient } from './kernels/residual.ts';
import { inputGradient, linear, linearGradient, weightGradient } from './linear.ts';
import type { Gradients, Weights } from './weights.ts';

/** What of a block's forward pass its backward pass needs. All of it is owned by who holds it. */
export interface BlockActivations {
  /** `[batch * n, dim]`, as it came in, and between the two branches. */
  x: tf.Tensor2D;
  middle: tf.Tensor2D;
  qkv: tf.Tensor2D;
  attended: tf.Tensor2D;
  projected: tf.Tensor2D;
  hidden: tf.Tensor2D;
  mlp: tf.Tensor2D;
}

/** Everything of a block that does not change with its input. */
export interface BlockContext {
  weights: Weights;
  model: ModelConfig;
  /** Name before its parameters' names, with the dot. */
  at: string;
  /** Tokens of an image. */
  n: number;
  /** Relative position bias, `[heads, n, n]`. */
  bias: tf.Tensor3D | null;
  /** Of the attention branch and of the MLP, `[batch]` each, or null for 1: stochastic depth. */
  factors: readonly [tf.Tensor1D | null, tf.Tensor1D | null];
}

const norm = ({ weights, model, at }: BlockContext, x: tf.Tensor2D, name: string) =>
  layerNorm(
    x,
    weights.get(`${at}${name}.weight`),
    weights.get(`${at}${name}.bias`),
    model.layer_norm_eps,
    weights.storage,
  );

const scales = ({ weights, at, factors }: BlockContext, branch: 0 | 1) => ({
  gamma: weights.find(`${at}gamma_${branch + 1}`),
  factors: factors[branch],
});

const attentionOf = ({ weights, model, at, n, bias }: BlockContext, qkv: tf.Tensor2D): AttentionInputs => ({
  qkv,
  qBias: weights.get(`${at}attn.q_bias`),
  vBias: weights.get(`${at}attn.v_bias`),
  heads: model.num_heads,
  n,
  bias,
});

/** Attention of a block that was run: `[batch, heads, n, n]`, query by key; the caller owns it. */
export const probabilitiesOf = (context: BlockContext, { qkv }: BlockActivations): tf.Tensor4D =>
  attentionProbabilities(attentionOf(context, qkv));

/**
 * A block of the encoder (`Block` of modeling_finetune.py): attention and MLP, each on normalised tokens and added.
 * @param x `[batch * n, dim]`; it is part of what comes back
 */
export function blockForward(
  context: BlockContext,
  x: tf.Tensor2D,
): { out: tf.Tensor2D; activations: BlockActivations } {
  const { weights, at } = context;
  const first = norm(context, x, 'norm1');
  const qkv = linear(first.y, weights, `${at}attn.qkv.weight`);
  tf.dispose([first.y, first.stats]);
  const attended = attention(attentionOf(context, qkv)); // [batch * n, dim]
  const projected = linear(attended, weights, `${at}attn.proj.weight`);
  const middle = residual(x, projected, weights.get(`${at}attn.proj.bias`), scales(context, 0));

  const second = norm(context, middle, 'norm2');
  const hidden = linear(second.y, weights, `${at}mlp.fc1.weight`);
  const active = gelu(hidden, weights.get(`${at}mlp.fc1.bias`));
  const mlp = linear(active, weights, `${at}mlp.fc2.weight`);
  const out = residual(middle, mlp, weights.get(`${at}mlp.fc2.bias`), scales(context, 1));
  tf.dispose([second.y, second.stats, active]);
  return { out, activations: { x, middle, qkv, attended, projected, hidden, mlp } };
}

/**
 * Gradients of a block: those of its parameters are added to `gradients`. The outputs of LayerNorm and GELU are
 * computed again, which costs less than to keep them. Activations and `dout` are taken.
 * @returns the gradient of `x`, and that of the relative position bias
 */
export function blockBackward(
  context: BlockContext,
  activations: BlockActivations,
  dout: tf.Tensor2D,
  gradients: Gradients,
): { dx: tf.Tensor2D; dbias: tf.Tensor3D | null } {
  const { weights, at } = context;
  const { x, middle, qkv, attended, projected, hidden, mlp } = activations;
  const add = (name: string, gradient: tf.Tensor | null) => gradient && gradients.add(at + name, gradient);

  // MLP
  const outer = residualGradient(dout, mlp, weights.get(`${at}mlp.fc2.bias`), scales(context, 1));
  mlp.dispose();
  add('gamma_2', outer.dgamma);
  add('mlp.fc2.bias', outer.dbias);
  const dactive = inputGradient(outer.dbranch, weights, `${at}mlp.fc2.weight`);
  const { dh, db, y: active } = geluGradient(dactive, hidden, weights.get(`${at}mlp.fc1.bias`));
  weightGradient(outer.dbranch, active, weights, `${at}mlp.fc2.weight`, gradients);
  tf.dispose([active, outer.dbranch]);
  add('mlp.fc1.bias', db);
  const second = norm(context, middle, 'norm2');
  const dsecond = linearGradient(dh, second.y, weights, `${at}mlp.fc1.weight`, gradients);
  tf.dispose([dh, second.y]);
  const between = layerNormGradient(dsecond, middle, weights.get(`${at}norm2.weight`), second.stats, dout);
  tf.dispose([dsecond, second.stats, middle]);
  add('norm2.weight', between.dw);
  add('norm2.bias', between.db);

  // Attention
  const inner = residualGradient(between.dx, projected, weights.get(`${at}attn.proj.bias`), scales(context, 0));
  projected.dispose();
  add('gamma_1', inner.dgamma);
  add('attn.proj.bias', inner.dbias);
  const dattended = linearGradient(inner.dbranch, attended, weights, `${at}attn.proj.weight`, gradients);
  tf.dispose([attended, inner.dbranch]);
  const { dqkv, dqBias, dvBias, dbias } = attentionGradient(dattended, attentionOf(context, qkv));
  tf.dispose([dattended, qkv]);
  add('attn.q_bias', dqBias);
  add('attn.v_bias', dvBias);
  const first = norm(context, x, 'norm1');
  const dfirst = linearGradient(dqkv, first.y, weights, `${at}attn.qkv.weight`, gradients);
  tf.dispose([dqkv, first.y]);
  const before = layerNormGradient(dfirst, x, weights.get(`${at}norm1.weight`), first.stats, between.dx);
  tf.dispose([dfirst, first.stats, x]);
  add('norm1.weight', before.dw);
  add('norm1.bias', before.db);
  return { dx: before.dx, dbias };
}
