import * as tf from '@tensorflow/tfjs-core';
import type { ProjectorConfig } from '../../../shared/config.ts';
import { type Affine, batchNorm, batchNormGradient, normalized } from '../kernels/batch-norm.ts';
import { floats, store } from '../kernels/device.ts';
import { linear, linearGradient } from '../linear.ts';
import type { Network } from '../network.ts';
import { projectorIndex } from '../parameters.ts';
import { isRecording, record } from '../tape.ts';
import { Tokens } from './tokens.ts';

/**
 * What a BatchNorm takes its statistics from: the batch, while the running ones follow, as in training; the batch alone;
 * or the running ones.
 */
export type NormMode = 'training' | 'batch' | 'running';

const affineOf = ({ weights }: Network, config: ProjectorConfig, layer: number): Affine => {
  const name = `projectors.${projectorIndex(layer).norm}`;
  return layer < config.layers - 1 ? { gamma: weights.get(`${name}.weight`), beta: weights.get(`${name}.bias`) } : null;
};

/**
 * Linear, BatchNorm, ReLU; the last BatchNorm without scale and shift (`_build_mlp` of modeling_pretrain.py). CLS
 * tokens go through it with the patches, and so are part of the batch's statistics. The outputs of BatchNorm and ReLU are
 * computed again on the way back, which costs less than to keep them.
 * @param tokens in the network's storage
 * @returns `[batch * n, out]`, in the network's storage
 */
export function project(
  network: Network,
  config: ProjectorConfig,
  tokens: Tokens,
  mode: NormMode = 'training',
): Tokens {
  const { weights } = network;
  const eps = config.batch_norm_eps;
  const keeps = isRecording();
  /** Of each layer what BatchNorm was given, and its statistics. */
  const kept: { x: tf.Tensor2D; stats: tf.Tensor2D }[] = [];
  let y = tokens.tensor;
  for (let l = 0; l < config.layers; l++) {
    const { linear: at, norm } = projectorIndex(l);
    const x = linear(y, weights, `projectors.${at}.weight`);
    if (l > 0) y.dispose();
    const affine = affineOf(network, config, l);
    if (mode === 'running') {
      y = tf.tidy(() => {
        const [mean, variance] = ['running_mean', 'running_var'].map((of) =>
          network.buffer(`projectors.${norm}.${of}`),
        );
        return store(normalized(floats(x), mean!, variance!, affine, eps), weights.storage) as tf.Tensor2D;
      });
      x.dispose();
      continue;
    }
    const normal = batchNorm(x, affine, eps);
    y = normal.y;
    if (mode === 'training')
      follow(network, `projectors.${norm}`, normal.stats, x.shape[0], config.batch_norm_momentum);
    if (keeps) kept.push({ x, stats: normal.stats });
    else tf.dispose([x, normal.stats]);
  }
  /** The last BatchNorm's output, in floats. */
  const again = () => {
    const { x, stats } = kept.at(-1)!;
    return tf.tidy(() => {
      const [mean, variance] = tf.unstack(stats) as [tf.Tensor, tf.Tensor];
      return normalized(floats(x), mean, variance, null, eps) as tf.Tensor2D;
    });
  };
  return record(new Tokens(y, tokens.batch, keeps ? again : null), (dout, gradients) => {
    let dy = store(dout, weights.storage) as tf.Tensor2D;
    dout.dispose();
    for (let l = config.layers - 1; l >= 0; l--) {
      const { linear: at, norm } = projectorIndex(l);
      const { x, stats } = kept[l]!;
      const { dx, affine } = batchNormGradient(dy, x, stats, affineOf(network, config, l), eps);
      tf.dispose([x, stats]);
      if (affine) {
        gradients.add(`projectors.${norm}.weight`, affine.dgamma);
        gradients.add(`projectors.${norm}.bias`, affine.dbeta);
      }
      let input = tokens.tensor;
      if (l > 0) {
        const before = batchNorm(kept[l - 1]!.x, affineOf(network, config, l - 1), eps);
        before.stats.dispose();
        input = before.y;
      }
      dy = linearGradient(dx, input, weights, `projectors.${at}.weight`, gradients);
      dx.dispose();
      if (l > 0) input.dispose();
    }
    tokens.addGradient(dy);
  });
}

/** Running statistics follow the batch's as PyTorch's BatchNorm1d does in training: it keeps the unbiased variance. */
function follow(network: Network, name: string, stats: tf.Tensor2D, rows: number, share: number): void {
  const [mean, variance] = tf.tidy(() => {
    const [m, v] = tf.unstack(stats) as [tf.Tensor1D, tf.Tensor1D];
    return [m, tf.mul(v, rows / Math.max(1, rows - 1)) as tf.Tensor1D];
  }) as [tf.Tensor1D, tf.Tensor1D];
  const towards = (value: tf.Tensor) => (old: tf.Tensor) => tf.add(tf.mul(old, 1 - share), tf.mul(value, share));
  network.updateBuffer(`${name}.running_mean`, towards(mean));
  network.updateBuffer(`${name}.running_var`, towards(variance));
  network.updateBuffer(`${name}.num_batches_tracked`, (old) => tf.add(old, 1));
  tf.dispose([mean, variance]);
}
