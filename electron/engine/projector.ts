import * as tf from '@tensorflow/tfjs-core';
import type { ProjectorConfig } from '../../shared/config.ts';
import { type Affine, batchNorm, batchNormGradient, normalized } from './kernels/batch-norm.ts';
import { floats, store } from './kernels/device.ts';
import { reshape } from './kernels/matrices.ts';
import { linear, linearGradient } from './linear.ts';
import { projectorIndex } from './parameters.ts';
import type { Gradients, Weights } from './weights.ts';

/** What a BatchNorm does: take the batch's statistics and say them, or use the running ones. */
export type NormMode =
  | { kind: 'batch'; observe: (name: string, mean: tf.Tensor1D, unbiasedVariance: tf.Tensor1D) => void }
  | { kind: 'running'; statistics: ReadonlyMap<string, tf.Tensor> };

/** What a projector's forward pass keeps; given away to `projectBackward`. */
export interface ProjectorTape {
  weights: Weights;
  config: ProjectorConfig;
  shape: [number, number, number];
  /** `[batch * (1 + K), dim]`, and of each layer what BatchNorm was given and its statistics. */
  tokens: tf.Tensor2D;
  layers: { x: tf.Tensor2D; stats: tf.Tensor2D }[];
}

const affineOf = (weights: Weights, config: ProjectorConfig, layer: number): Affine => {
  const name = `projectors.${projectorIndex(layer).norm}`;
  return layer < config.layers - 1 ? { gamma: weights.get(`${name}.weight`), beta: weights.get(`${name}.bias`) } : null;
};

/**
 * Linear, BatchNorm, ReLU; the last BatchNorm without scale and shift (`_build_mlp` of modeling_pretrain.py). CLS
 * tokens go through it with the patches, and so are part of the batch's statistics.
 * @param tokens `[batch, 1 + K, dim]`, in the weights' storage; taken
 * @param keep whether a tape is wanted; needs the batch's statistics
 * @returns features of the patches, L2-normalised floats: `[batch, K, out]`
 */
export function project(
  weights: Weights,
  config: ProjectorConfig,
  tokens: tf.Tensor3D,
  mode: NormMode,
  keep = false,
): { features: tf.Tensor3D; tape: ProjectorTape | null } {
  const [batch, n, dim] = tokens.shape;
  const rows = reshape<tf.Tensor2D>(tokens, [batch * n, dim]);
  tokens.dispose();
  const layers: ProjectorTape['layers'] = [];
  let y = rows;
  for (let l = 0; l < config.layers; l++) {
    const { linear: at, norm } = projectorIndex(l);
    const x = linear(y, weights, `projectors.${at}.weight`);
    if (!(keep && l === 0)) y.dispose();
    const affine = affineOf(weights, config, l);
    if (mode.kind === 'running') {
      const statistic = (name: string) => mode.statistics.get(`projectors.${norm}.${name}`)!;
      y = tf.tidy(() => {
        const [mean, variance] = [statistic('running_mean'), statistic('running_var')];
        return store(normalized(floats(x), mean, variance, affine, config.batch_norm_eps), weights.storage);
      }) as tf.Tensor2D;
      x.dispose();
      continue;
    }
    const normal = batchNorm(x, affine, config.batch_norm_eps);
    y = normal.y;
    tell(mode, `projectors.${norm}`, normal.stats, x.shape[0]);
    if (keep) layers.push({ x, stats: normal.stats });
    else tf.dispose([x, normal.stats]);
  }
  const features = tf.tidy(() => l2Normalize(patchRows(floats(y), batch, n, config.out)));
  y.dispose();
  return { features, tape: keep ? { weights, config, shape: [batch, n, dim], tokens: rows, layers } : null };
}

/** PyTorch keeps the unbiased variance. */
function tell(mode: Extract<NormMode, { kind: 'batch' }>, name: string, stats: tf.Tensor2D, rows: number): void {
  const [mean, variance] = tf.tidy(() => {
    const [m, v] = tf.unstack(stats) as [tf.Tensor1D, tf.Tensor1D];
    return [m, tf.mul(v, rows / Math.max(1, rows - 1)) as tf.Tensor1D];
  }) as [tf.Tensor1D, tf.Tensor1D];
  mode.observe(name, mean, variance);
  tf.dispose([mean, variance]);
}

/** The rows of patches, without CLS: `[batch, K, out]`. */
const patchRows = (y: tf.Tensor2D, batch: number, n: number, out: number) =>
  tf.slice(tf.reshape(y, [batch, n, out]), [0, 1, 0], [batch, n - 1, out]) as tf.Tensor3D;

/**
 * Adds the gradients of a projector's parameters to `gradients`. The tape and `dfeatures` are taken. The outputs of
 * BatchNorm and ReLU are computed again, which costs less than to keep them.
 * @param dfeatures `[batch, K, out]`, of the L2-normalised features
 * @returns the gradient of the tokens, `[batch * (1 + K), dim]`, in the weights' storage
 */
export function projectBackward(tape: ProjectorTape, dfeatures: tf.Tensor3D, gradients: Gradients): tf.Tensor2D {
  const { weights, config, shape, tokens, layers } = tape;
  const [batch, n] = shape;
  const eps = config.batch_norm_eps;
  const final = layers.at(-1)!;
  let dy = tf.tidy(() => {
    const [mean, variance] = tf.unstack(final.stats) as [tf.Tensor, tf.Tensor];
    const raw = patchRows(normalized(floats(final.x), mean, variance, null, eps) as tf.Tensor2D, batch, n, config.out);
    // CLS is no query: no gradient comes through it.
    const padded = tf.pad(l2NormalizeGradient(dfeatures, raw), [[0, 0], [1, 0], [0, 0]]); // biome-ignore format: a pair an axis
    return store(tf.reshape(padded, [batch * n, config.out]), weights.storage) as tf.Tensor2D;
  });
  dfeatures.dispose();
  for (let l = config.layers - 1; l >= 0; l--) {
    const { linear: at, norm } = projectorIndex(l);
    const { x, stats } = layers[l]!;
    const { dx, affine } = batchNormGradient(dy, x, stats, affineOf(weights, config, l), eps);
    tf.dispose([x, stats]);
    if (affine) {
      gradients.add(`projectors.${norm}.weight`, affine.dgamma);
      gradients.add(`projectors.${norm}.bias`, affine.dbeta);
    }
    let input = tokens;
    if (l > 0) {
      const again = batchNorm(layers[l - 1]!.x, affineOf(weights, config, l - 1), eps);
      again.stats.dispose();
      input = again.y;
    }
    dy = linearGradient(dx, input, weights, `projectors.${at}.weight`, gradients);
    tf.dispose([dx, input]);
  }
  return dy;
}

/** Rows of unit length over the last axis (`F.normalize`: the length is not taken below 1e-12). */
export function l2Normalize<T extends tf.Tensor>(x: T): T {
  return tf.tidy(() => tf.div(x, lengthOf(x)));
}

// Under the root, so that the gradient of a zero row is zero and not 0/0.
const lengthOf = (x: tf.Tensor) => tf.sqrt(tf.maximum(tf.sum(tf.square(x), -1, true), 1e-24));

/** Its gradient; within a tidy. */
function l2NormalizeGradient(dy: tf.Tensor3D, x: tf.Tensor3D): tf.Tensor3D {
  const length = lengthOf(x);
  const unit = tf.div(x, length);
  return tf.div(tf.sub(dy, tf.mul(unit, tf.sum(tf.mul(dy, unit), -1, true))), length);
}
