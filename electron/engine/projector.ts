import * as tf from '@tensorflow/tfjs-core';
import type { ProjectorConfig } from '../../shared/config.ts';
import { batchMoments, batchNormalize } from './kernels/batch-norm.ts';
import { projectorIndex } from './parameters.ts';
import { linear, type Parameters } from './vit.ts';

/** What a BatchNorm does: take the batch's statistics and say them, or use the running ones. */
export type NormMode =
  | { kind: 'batch'; observe: (name: string, mean: tf.Tensor1D, unbiasedVariance: tf.Tensor1D) => void }
  | { kind: 'running'; statistics: Parameters };

/**
 * Linear, BatchNorm, ReLU; the last BatchNorm without scale and shift (`_build_mlp` of modeling_pretrain.py). CLS
 * tokens go through it with the patches, and so are part of the batch's statistics.
 * @param tokens `[batch, 1 + K, dim]` @returns features of the patches, L2-normalised: `[batch, K, out]`
 */
export function project(p: Parameters, config: ProjectorConfig, tokens: tf.Tensor3D, mode: NormMode): tf.Tensor3D {
  const [batch, n, dim] = tokens.shape;
  let x = tf.reshape(tokens, [batch * n, dim]) as tf.Tensor2D;
  for (let l = 0; l < config.layers; l++) {
    const { linear: at, norm } = projectorIndex(l);
    const name = `projectors.${norm}`;
    x = linear(x, p.get(`projectors.${at}.weight`)!);
    x = normalize(x, name, config.batch_norm_eps, mode);
    if (l < config.layers - 1) {
      x = tf.relu(tf.add(tf.mul(x, p.get(`${name}.weight`)!), p.get(`${name}.bias`)!));
    }
  }
  const features = tf.reshape(x, [batch, n, config.out]) as tf.Tensor3D;
  return l2Normalize(tf.slice(features, [0, 1, 0], [batch, n - 1, config.out]));
}

function normalize(x: tf.Tensor2D, name: string, eps: number, mode: NormMode): tf.Tensor2D {
  if (mode.kind === 'running') {
    const mean = mode.statistics.get(`${name}.running_mean`)!;
    const variance = mode.statistics.get(`${name}.running_var`)!;
    return tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, eps)));
  }
  const { mean, variance } = batchMoments(x);
  const rows = x.shape[0];
  mode.observe(name, mean, tf.mul(variance, rows / Math.max(1, rows - 1))); // PyTorch keeps the unbiased one
  return batchNormalize(x, eps);
}

/** Rows of unit length over the last axis (`F.normalize`: the length is not taken below 1e-12). */
export function l2Normalize<T extends tf.Tensor>(x: T): T {
  // Under the root, so that the gradient of a zero row is zero and not 0/0.
  const length = tf.sqrt(tf.maximum(tf.sum(tf.square(x), -1, true), 1e-24));
  return tf.div(x, length);
}
