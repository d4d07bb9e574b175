import * as tf from '@tensorflow/tfjs-core';
import { type AttentionInputs, attention, attentionGradient, attentionProbabilities } from '../kernels/attention.ts';
import { gelu, geluGradient } from '../kernels/gelu.ts';
import { layerNorm, layerNormGradient } from '../kernels/layer-norm.ts';
import { residual, residualGradient } from '../kernels/residual.ts';
import { inputGradient, linear, linearGradient, weightGradient } from '../linear.ts';
import type { Network } from '../network.ts';
import { isRecording, record, type Value } from '../tape.ts';
import type { Gradients, Weights } from '../weights.ts';
import { Tokens } from './tokens.ts';

/** What of a block's forward pass its backward pass needs, beside its input. All of it is owned by who holds it. */
interface BlockActivations {
  /** `[batch * n, dim]`, between the two branches. */
  middle: tf.Tensor2D;
  qkv: tf.Tensor2D;
  attended: tf.Tensor2D;
  projected: tf.Tensor2D;
  hidden: tf.Tensor2D;
  mlp: tf.Tensor2D;
}

/** Blocks of one transformer: the encoder's, or a decoder's. */
export interface BlockShape {
  /** Name before the number of a block, with the dot: `blocks.`. */
  prefix: string;
  depth: number;
  heads: number;
  /** LayerNorm's epsilon. */
  eps: number;
}

/** Everything of a block that does not change with its input. */
interface BlockContext {
  weights: Weights;
  heads: number;
  eps: number;
  /** Name before its parameters' names, with the dot. */
  at: string;
  /** Tokens of an image. */
  n: number;
  /** Relative position bias, `[heads, n, n]`. */
  bias: tf.Tensor3D | null;
  /** Of the attention branch and of the MLP, `[batch]` each, or null for 1: stochastic depth. */
  factors: readonly [tf.Tensor1D | null, tf.Tensor1D | null];
}

const norm = ({ weights, eps, at }: BlockContext, x: tf.Tensor2D, name: string) =>
  layerNorm(x, weights.get(`${at}${name}.weight`), weights.get(`${at}${name}.bias`), eps, weights.storage);

const scales = ({ weights, at, factors }: BlockContext, branch: 0 | 1) => ({
  gamma: weights.find(`${at}gamma_${branch + 1}`),
  factors: factors[branch],
});

const attentionOf = ({ weights, heads, at, n, bias }: BlockContext, qkv: tf.Tensor2D): AttentionInputs => ({
  qkv,
  qBias: weights.get(`${at}attn.q_bias`),
  vBias: weights.get(`${at}attn.v_bias`),
  heads,
  n,
  bias,
});

/** Sees the attention of a block as it is computed: `[batch, heads, n, n]`, query by key, each row summing to one. */
export type Witness = (block: number, probabilities: tf.Tensor4D) => void;

export interface BlockOptions {
  /** Relative position bias, `[heads, n, n]`. */
  bias?: Value<tf.Tensor3D> | null;
  /** Of the attention branch and of the MLP, `[batch]` each, or null for 1: stochastic depth. Given to the block. */
  factors?: readonly [tf.Tensor1D | null, tf.Tensor1D | null];
  witness?: Witness | undefined;
}

/**
 * A block of a transformer (`Block` of modeling_finetune.py): attention and MLP, each on normalised tokens and added.
 * @param i its number
 */
export function block(network: Network, shape: BlockShape, i: number, x: Tokens, options: BlockOptions = {}): Tokens {
  const { bias = null, factors = [null, null], witness } = options;
  const context: BlockContext = {
    weights: network.weights,
    heads: shape.heads,
    eps: shape.eps,
    at: `${shape.prefix}${i}.`,
    n: x.n,
    bias: bias?.tensor ?? null,
    factors,
  };
  const { out, activations } = blockForward(context, x.tensor);
  if (witness) {
    const probabilities = attentionProbabilities(attentionOf(context, activations.qkv));
    witness(i, probabilities);
    probabilities.dispose();
  }
  const keeps = isRecording() && !network.recompute;
  if (!keeps) tf.dispose(Object.values(activations));
  return record(
    new Tokens(out, x.batch),
    (dout, gradients) => {
      const { dx, dbias } = blockBackward(
        context,
        x.tensor,
        keeps ? activations : activationsAgain(context, x.tensor),
        dout,
        gradients,
      );
      x.addGradient(dx);
      if (dbias) bias!.addGradient(dbias);
    },
    keeps ? [...factors, ...Object.values(activations)] : factors,
  );
}

/** What a block keeps, computed once more from its input (arXiv 1604.06174). */
function activationsAgain(context: BlockContext, x: tf.Tensor2D): BlockActivations {
  const { out, activations } = blockForward(context, x);
  out.dispose();
  return activations;
}

/** @param x `[batch * n, dim]` */
function blockForward(context: BlockContext, x: tf.Tensor2D): { out: tf.Tensor2D; activations: BlockActivations } {
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
  return { out, activations: { middle, qkv, attended, projected, hidden, mlp } };
}

/**
 * Gradients of a block: those of its parameters are added to `gradients`. The outputs of LayerNorm and GELU are
 * computed again, which costs less than to keep them. Disposes of `activations` and `dout`; `x` stays the caller's.
 * @returns the gradient of `x`, and that of the relative position bias
 */
function blockBackward(
  context: BlockContext,
  x: tf.Tensor2D,
  activations: BlockActivations,
  dout: tf.Tensor2D,
  gradients: Gradients,
): { dx: tf.Tensor2D; dbias: tf.Tensor3D | null } {
  const { weights, at } = context;
  const { middle, qkv, attended, projected, hidden, mlp } = activations;
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
  tf.dispose([dfirst, first.stats]);
  add('norm1.weight', before.dw);
  add('norm1.bias', before.db);
  return { dx: before.dx, dbias };
}
