import * as tf from '@tensorflow/tfjs-core';
import type { HeadConfig, HeadLayer, PlacedLayer } from '../heads.ts';
import { placed } from '../heads.ts';
import { type Affine, batchNorm, batchNormGradient, normalized } from '../kernels/batch-norm.ts';
import { floats, type Storage, storageOf, store } from '../kernels/device.ts';
import { gelu, geluGradient } from '../kernels/gelu.ts';
import { columnSum } from '../kernels/sums.ts';
import { linear, linearGradient } from '../linear.ts';
import type { Network } from '../network.ts';
import { isRecording, record } from '../tape.ts';
import type { Gradients } from '../weights.ts';
import { Tokens } from './tokens.ts';

/**
 * What a BatchNorm takes its statistics from: the batch, while the running ones follow, as in training; the batch alone;
 * or the running ones.
 */
export type NormMode = 'training' | 'batch' | 'running';

type Placed<K extends HeadLayer['kind']> = PlacedLayer<Extract<HeadLayer, { kind: K }>>;

/** Layers between two things that are kept: a product, and what is computed of it again on the way back. */
interface Stage {
  linear: Placed<'linear'> | null;
  norm: Placed<'batch-norm'> | null;
  activation: 'relu' | 'gelu' | null;
  /** Of its output. */
  width: number;
}

function stagesOf(head: HeadConfig): Stage[] {
  const stages: Stage[] = [];
  for (const one of placed(head)) {
    const { layer, to: width } = one;
    const last = stages.at(-1);
    if (layer.kind === 'linear') stages.push({ linear: one as Placed<'linear'>, norm: null, activation: null, width });
    else if (layer.kind === 'batch-norm') {
      const norm = one as Placed<'batch-norm'>;
      if (last && !last.norm && !last.activation) last.norm = norm;
      else stages.push({ linear: null, norm, activation: null, width });
    } else if (last && !last.activation) last.activation = layer.kind;
    else stages.push({ linear: null, norm: null, activation: layer.kind, width });
  }
  return stages;
}

/** What of a stage its way back needs: what was normalised or activated, and the batch's mean and variance. */
interface Kept {
  x: tf.Tensor2D;
  stats: tf.Tensor2D | null;
}

/**
 * A head: Linear, BatchNorm, ReLU and GELU in any order. All rows are part of a BatchNorm's statistics, so that what is
 * handed over together is normalised together. The outputs of BatchNorm, ReLU and GELU are computed again on the way back,
 * which costs less than to keep them.
 * @param tokens `[rows, from]`
 * @returns `[rows, out]`, in the network's storage
 * @throws RangeError where running statistics are to be differentiated
 */
export function project(network: Network, head: HeadConfig, tokens: Tokens, mode: NormMode = 'training'): Tokens {
  const { storage } = network;
  const stages = stagesOf(head);
  const keeps = isRecording();
  if (keeps && mode === 'running' && stages.some(({ norm }) => norm))
    throw new RangeError('there is no way back through running statistics');
  const kept: Kept[] = [];
  let y = store(tokens.tensor, storage);
  for (const stage of stages) {
    const x = productOf(network, stage, y);
    y.dispose();
    const stats = mode === 'running' ? runningOf(network, stage) : null;
    const out = stats ? { y: finished(network, stage, x, stats), stats } : outputOf(network, stage, x);
    y = out.y;
    if (mode === 'training' && out.stats) follow(network, stage.norm!, out.stats, x.shape[0]);
    if (keeps) kept.push({ x, stats: out.stats });
    else tf.dispose(out.stats ? [x, out.stats] : [x]);
  }
  /** The last BatchNorm's output, in floats. */
  const again = () => {
    const { x, stats } = kept.at(-1)!;
    return tf.tidy(() => normalOf(stages.at(-1)!, x, stats!));
  };
  const last = stages.at(-1);
  const isPlainNorm = last?.norm && !last.norm.layer.scale && !last.norm.layer.shift && !last.activation;
  return record(
    new Tokens(y, tokens.batch, keeps && isPlainNorm ? again : null),
    (dout, gradients) => {
      let dy = store(dout, storage) as tf.Tensor2D;
      dout.dispose();
      for (let i = stages.length - 1; i >= 0; i--) {
        const stage = stages[i]!;
        const { x, stats } = kept[i]!;
        const dx = stageGradient(network, stage, kept[i]!, dy, gradients);
        tf.dispose(stats ? [x, stats] : [x]); // no later than this: they are as large as the step's largest tensors
        if (!stage.linear) {
          dy = dx;
          continue;
        }
        const { name, layer } = stage.linear;
        if (layer.bias) gradients.add(`${name}.bias`, columnSum(dx));
        const input =
          i > 0 ? outputAgain(network, stages[i - 1]!, kept[i - 1]!.x) : (store(tokens.tensor, storage) as tf.Tensor2D);
        dy = linearGradient(dx, input, network.weights, `${name}.weight`, gradients);
        tf.dispose([dx, input]);
      }
      tokens.addGradient(store(dy, storageOf(tokens.tensor)));
      dy.dispose();
    },
    kept.flatMap(({ x, stats }) => [x, stats]),
  );
}

/** x W^T + b; a copy where the stage has no product. */
function productOf({ weights, storage }: Network, { linear: one }: Stage, y: tf.Tensor2D): tf.Tensor2D {
  if (!one) return y.clone();
  const weight = `${one.name}.weight`;
  if (!one.layer.bias) return linear(y, weights, weight);
  return tf.tidy(() => {
    const product = linear(y, weights, weight, 'fp32');
    return store(tf.add(product, weights.get(`${one.name}.bias`)) as tf.Tensor2D, storage);
  });
}

/** Scale and shift where a ReLU follows both: what the kernel computes at once with the statistics. */
function fusedAffine(network: Network, { norm, activation }: Stage): Affine {
  if (!norm?.layer.scale || !norm.layer.shift || activation !== 'relu') return null;
  return { gamma: network.weights.get(`${norm.name}.weight`), beta: network.weights.get(`${norm.name}.bias`) };
}

/** What a stage gives of what it keeps, on the batch's statistics, and these. @param x it stays the caller's */
function outputOf(network: Network, stage: Stage, x: tf.Tensor2D): { y: tf.Tensor2D; stats: tf.Tensor2D | null } {
  if (!stage.norm) return { y: finished(network, stage, x, null), stats: null };
  const affine = fusedAffine(network, stage);
  const { scale, shift, eps } = stage.norm.layer;
  if (affine || (!scale && !shift && !stage.activation)) return batchNorm(x, affine, eps);
  const { y: normal, stats } = batchNorm(x, null, eps);
  const y = activated(network, stage, normal);
  normal.dispose();
  return { y, stats };
}

function outputAgain(network: Network, stage: Stage, x: tf.Tensor2D): tf.Tensor2D {
  const { y, stats } = outputOf(network, stage, x);
  stats?.dispose();
  return y;
}

/** The same on statistics that are given, or without a BatchNorm. */
function finished(network: Network, stage: Stage, x: tf.Tensor2D, stats: tf.Tensor2D | null): tf.Tensor2D {
  const affine = fusedAffine(network, stage);
  return tf.tidy(() => {
    if (!stats) return activated(network, stage, x);
    const [mean, variance] = tf.unstack(stats) as [tf.Tensor, tf.Tensor];
    const { eps } = stage.norm!.layer;
    const normal = normalized(floats(x), mean, variance, affine, eps) as tf.Tensor2D;
    return affine ? store(normal, network.storage) : activated(network, stage, normal);
  });
}

/** Of a BatchNorm alone, in floats; within a tidy. */
function normalOf({ norm }: Stage, x: tf.Tensor2D, stats: tf.Tensor2D): tf.Tensor2D {
  const [mean, variance] = tf.unstack(stats) as [tf.Tensor, tf.Tensor];
  return normalized(floats(x), mean, variance, null, norm!.layer.eps) as tf.Tensor2D;
}

/** The running mean and variance as one, `[2, width]`; null without a BatchNorm. */
function runningOf(network: Network, { norm }: Stage): tf.Tensor2D | null {
  if (!norm) return null;
  const [mean, variance] = ['running_mean', 'running_var'].map((of) => network.buffer(`${norm.name}.${of}`));
  return tf.stack([mean!, variance!]) as tf.Tensor2D;
}

/** Scale and shift of a normalised row, in floats, where the kernel does not compute them; within a tidy. */
function affineOf({ weights }: Network, { norm }: Stage, normal: tf.Tensor2D): tf.Tensor2D {
  let y = floats(normal);
  if (norm?.layer.scale) y = tf.mul(y, weights.get(`${norm.name}.weight`));
  if (norm?.layer.shift) y = tf.add(y, weights.get(`${norm.name}.bias`));
  return y;
}

/** What follows a BatchNorm's statistics, in the network's storage. @param normal it stays the caller's */
function activated(network: Network, stage: Stage, normal: tf.Tensor2D): tf.Tensor2D {
  const { storage } = network;
  return tf.tidy(() => {
    const z = affineOf(network, stage, normal);
    if (stage.activation === 'relu') return store(tf.relu(z), storage);
    return stage.activation === 'gelu'
      ? gelu(store(z, storage), tf.zeros([stage.width]))
      : (store(z, storage) as tf.Tensor2D);
  });
}

/** The gradient of what a stage keeps; those of scale and shift are added. Disposes of `dy`. */
function stageGradient(
  network: Network,
  stage: Stage,
  { x, stats }: Kept,
  dy: tf.Tensor2D,
  gradients: Gradients,
): tf.Tensor2D {
  const { norm } = stage;
  const affine = fusedAffine(network, stage);
  if (affine) {
    const { dx, affine: found } = batchNormGradient(dy, x, stats!, affine, norm!.layer.eps);
    gradients.add(`${norm!.name}.weight`, found!.dgamma);
    gradients.add(`${norm!.name}.bias`, found!.dbeta);
    return dx;
  }
  const storage = storageOf(dy);
  let g = dy;
  if (stage.activation || norm?.layer.scale || norm?.layer.shift) {
    const [dnormal, dgamma, dbeta] = tf.tidy(() => {
      const normal = stats ? normalOf(stage, x, stats) : floats(x);
      const dz = activationGradient(stage, affineOf(network, stage, normal), dy, storage);
      const scaled = norm?.layer.scale ? tf.mul(dz, network.weights.get(`${norm.name}.weight`)) : dz;
      return [store(scaled, storage), tf.sum(tf.mul(dz, normal), 0), tf.sum(dz, 0)];
    }) as [tf.Tensor2D, tf.Tensor, tf.Tensor];
    dy.dispose();
    g = dnormal;
    if (norm?.layer.scale) gradients.add(`${norm.name}.weight`, dgamma);
    else dgamma.dispose();
    if (norm?.layer.shift) gradients.add(`${norm.name}.bias`, dbeta);
    else dbeta.dispose();
  }
  return norm ? batchNormGradient(g, x, stats!, null, norm.layer.eps).dx : g;
}

/** Through a ReLU or GELU, in floats. @param z what it was given, in floats; within a tidy */
function activationGradient(stage: Stage, z: tf.Tensor2D, dy: tf.Tensor2D, storage: Storage): tf.Tensor2D {
  if (stage.activation === 'relu') return tf.mul(floats(dy), tf.cast(tf.greater(z, 0), 'float32'));
  if (stage.activation === null) return floats(dy);
  // The kernel takes what it is given.
  const [upstream, given] = [tf.mul(floats(dy), 1), tf.mul(z, 1)].map((t) => store(t, storage)) as [
    tf.Tensor2D,
    tf.Tensor2D,
  ];
  return floats(geluGradient(upstream, given, tf.zeros([stage.width])).dh);
}

/** Running statistics follow the batch's as PyTorch's BatchNorm1d does in training: it keeps the unbiased variance. */
function follow(network: Network, { name, layer }: Placed<'batch-norm'>, stats: tf.Tensor2D, rows: number): void {
  const share = layer.momentum;
  const [mean, variance] = tf.tidy(() => {
    const [m, v] = tf.unstack(stats) as [tf.Tensor1D, tf.Tensor1D];
    const factor = layer.running === 'biased' ? 1 : rows / Math.max(1, rows - 1);
    return [m, tf.mul(v, factor) as tf.Tensor1D];
  }) as [tf.Tensor1D, tf.Tensor1D];
  const towards = (value: tf.Tensor) => (old: tf.Tensor) => tf.add(tf.mul(old, 1 - share), tf.mul(value, share));
  network.updateBuffer(`${name}.running_mean`, towards(mean));
  network.updateBuffer(`${name}.running_var`, towards(variance));
  network.updateBuffer(`${name}.num_batches_tracked`, (old) => tf.add(old, 1));
  tf.dispose([mean, variance]);
}
