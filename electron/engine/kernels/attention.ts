import * as tf from '@tensorflow/tfjs-core';
import { compiledKernel, int, isCompiled, storageOf } from './device.ts';
import { type Heads, joinHeads, mergeHeads, splitHeads, unmergeHeads } from './heads.ts';
import { matMul } from './matrices.ts';
import { softmax, softmaxGradient } from './softmax.ts';

/** What attention is computed of; it stays the caller's. */
export interface AttentionInputs {
  /** `[batch * n, 3 * dim]`: the product with the published `qkv` weight. */
  qkv: tf.Tensor2D;
  /** `[dim]` each. */
  qBias: tf.Tensor;
  vBias: tf.Tensor;
  heads: number;
  /** Tokens of an image. */
  n: number;
  /** Relative position bias, `[heads, n, n]`. */
  bias: tf.Tensor3D | null;
}

export interface AttentionGradients {
  dqkv: tf.Tensor2D;
  dqBias: tf.Tensor;
  dvBias: tf.Tensor;
  /** Null where there is no bias. */
  dbias: tf.Tensor3D | null;
}

const split = ({ qkv, qBias, vBias, heads, n }: AttentionInputs): Heads => splitHeads(qkv, qBias, vBias, heads, n);

const attributes = ({ heads, n }: AttentionInputs) => [int('heads', heads), int('tokens', n)];

const weigh = ({ q, k }: Heads, bias: tf.Tensor3D | null) => softmax(matMul(q, k, { transposeB: true }), bias);

/** Who looks at whom: `[batch, heads, n, n]`, query by key, each row summing to one; in the storage of `qkv`. */
export function attentionProbabilities(inputs: AttentionInputs): tf.Tensor4D {
  const heads = split(inputs);
  const probabilities = weigh(heads, inputs.bias);
  tf.dispose([heads.q, heads.k, heads.v]);
  return probabilities;
}

/** Self-attention of every head, side by side (arXiv 1706.03762, section 3.2): `[batch * n, dim]`. */
export function attention(inputs: AttentionInputs): tf.Tensor2D {
  const { qkv, qBias, vBias, bias } = inputs;
  const storage = storageOf(qkv);
  if (!isCompiled(storage)) return attentionPlain(inputs);
  return compiledKernel('Attention', storage, attributes(inputs), [qkv, qBias, vBias, bias], 1)[0] as tf.Tensor2D;
}

/** The same, operation by operation. */
export function attentionPlain(inputs: AttentionInputs): tf.Tensor2D {
  return tf.tidy(() => {
    const heads = split(inputs);
    return mergeHeads(matMul(weigh(heads, inputs.bias), heads.v));
  });
}

/**
 * Its gradients. Probabilities are computed again, which costs less than to keep them.
 * @param dout `[batch * n, dim]`; it stays the caller's
 */
export function attentionGradient(dout: tf.Tensor2D, inputs: AttentionInputs): AttentionGradients {
  const { qkv, qBias, vBias, bias } = inputs;
  const storage = storageOf(qkv);
  if (!isCompiled(storage)) return attentionGradientPlain(dout, inputs);
  const given = [qkv, qBias, vBias, bias, dout];
  const [dqkv, dqBias, dvBias, dbias] = compiledKernel('AttentionGrad', storage, attributes(inputs), given, 4);
  if (!bias) dbias!.dispose();
  return { dqkv: dqkv as tf.Tensor2D, dqBias: dqBias!, dvBias: dvBias!, dbias: bias ? (dbias as tf.Tensor3D) : null };
}

/** The same, operation by operation. */
export function attentionGradientPlain(dout: tf.Tensor2D, inputs: AttentionInputs): AttentionGradients {
  const { heads, n, bias } = inputs;
  const { q, k, v } = split(inputs);
  const probabilities = weigh({ q, k, v }, bias); // [batch, heads, n, n]
  const dmixed = unmergeHeads(dout, heads, n);
  const dv = matMul(probabilities, dmixed, { transposeA: true });
  const dprobabilities = matMul(dmixed, v, { transposeB: true });
  tf.dispose([dmixed, v]);
  const { dlogits, dbias } = softmaxGradient(dprobabilities, probabilities, bias !== null);
  probabilities.dispose();
  const dq = matMul(dlogits, k);
  const dk = matMul(dlogits, q, { transposeA: true });
  tf.dispose([dlogits, q, k]);
  return { ...joinHeads({ q: dq, k: dk, v: dv }), dbias };
}
