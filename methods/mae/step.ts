import * as tf from '@tensorflow/tfjs-core';
import { blocks, encode } from '../../electron/engine/encoder.ts';
import { hostTidy } from '../../electron/engine/host.ts';
import { floats } from '../../electron/engine/kernels/device.ts';
import { type Images, imageTensor, keep } from '../../electron/engine/layers/embed.ts';
import { linear } from '../../electron/engine/layers/linear.ts';
import { layerNorm } from '../../electron/engine/layers/norm.ts';
import { restore } from '../../electron/engine/layers/restore.ts';
import { patches } from '../../electron/engine/layers/tokens.ts';
import { meanSquared } from '../../electron/engine/losses/squared.ts';
import type { Network } from '../../electron/engine/network.ts';
import { record, Value } from '../../electron/engine/tape.ts';
import type { Method, Show, TrainerConfig } from '../../electron/engine/trainer.ts';
import { gridOf, patchesOf } from '../../shared/config.ts';
import { keptPatches, type MAERunConfig } from './config.ts';
import { network } from './network.ts';

/** The parts of a configuration that the arithmetic needs. */
export type MAEConfig = Pick<MAERunConfig, 'model' | 'mask' | 'decoder' | 'target'> & TrainerConfig;

export interface MAEBatch {
  /** `[batch, side, side, 3]`, normalised: input and target alike. */
  views: { image: Images };
  /** `[batch, K]`, 1 = removed; of every image the same number. */
  mask: Float32Array;
  /** `[batch * n]`, places of the patches that stay, in the order in which the encoder sees them; else row by row. */
  kept?: Int32Array;
}

/** Masked autoencoders (arXiv 2111.06377, section 3; models_mae.py of the published code). */
export const step: Method<MAEConfig, MAEBatch> = {
  student: network,
  teacher: () => null,

  step({ student }, { views: { image }, mask, kept }, config, show) {
    const pixels = reconstruct(student, image, kept ?? keptOf(mask, patchesOf(config.model)), config, show);
    const wanted = target(image, config);
    show?.('pred', pixels.tensor);
    show?.('target', wanted.tensor);
    return { loss: meanSquared(pixels, wanted, mask), figures: { spread: spread(pixels.tensor, mask) } };
  },
};

/**
 * What the decoder says of every patch, from those that the encoder sees: `[batch, K, 3 patch^2]`, as `target` has it.
 * @param kept `[batch * n]`, places of the patches that are seen
 */
export function reconstruct(
  network: Network,
  image: Images,
  kept: Int32Array,
  { model, decoder }: Pick<MAEConfig, 'model' | 'decoder'>,
  show: Show | null = null,
): Value<tf.Tensor3D> {
  const latent = encode(network, keep(image, kept)); // [batch * (1 + n), dim]
  if (show) tf.tidy(() => show('latent', tf.reshape(floats(latent.tensor), [latent.batch, latent.n, latent.width])));
  const every = restore(network, linear(network, 'decoder_embed', latent), kept, patchesOf(model), {
    token: 'mask_token',
    positions: 'decoder_pos_embed',
  }); // [batch * (1 + K), decoder dim]
  const shape = {
    prefix: 'decoder_blocks.',
    depth: decoder.depth,
    heads: decoder.num_heads,
    eps: model.layer_norm_eps,
  };
  const decoded = layerNorm(network, 'decoder_norm', blocks(network, shape, every), model.layer_norm_eps);
  return patches(linear(network, 'decoder_pred', decoded));
}

/**
 * How far what is drawn at a place differs from image to image: the root of its mean variance over the images in which the
 * place is hidden, two at least. Null where no place is hidden twice.
 * @param pixels `[batch, K, values]` @param mask `[batch, K]`, 1 = hidden
 */
export function spread(pixels: tf.Tensor3D, mask: Float32Array): number | null {
  const [batch, K, values] = pixels.shape;
  const counted = Float32Array.from({ length: K }, (_, k) => {
    let n = 0;
    for (let b = 0; b < batch; b++) n += mask[b * K + k]!;
    return n;
  });
  const all = counted.reduce((sum, n) => sum + (n > 1 ? n : 0), 0);
  if (all === 0) return null;
  const [sum] = hostTidy(() => {
    const hidden = tf.tensor3d(mask, [batch, K, 1]);
    const least = tf.maximum(tf.tensor2d(counted, [K, 1]), 1);
    const mean = tf.div(tf.sum(tf.mul(pixels, hidden), 0), least); // [K, values]
    // Of a place that is hidden once the difference is 0.
    return tf.sum(tf.mul(tf.squaredDifference(pixels, mean), hidden));
  });
  return Math.sqrt(sum! / (all * values));
}

/**
 * Which patches the encoder sees: of each image the n = floor(K (1 - ratio)) with the smallest noise, in that order.
 * @param noise `[batch * K]` @returns kept `[batch * n]`; mask `[batch * K]`, 1 = removed
 */
export function draw(noise: Float32Array, K: number, ratio: number): { kept: Int32Array; mask: Float32Array } {
  const batch = noise.length / K;
  const n = keptPatches(K, ratio);
  const kept = new Int32Array(batch * n);
  const mask = new Float32Array(batch * K).fill(1);
  for (let b = 0; b < batch; b++) {
    const of = noise.subarray(b * K, (b + 1) * K);
    const order = [...of.keys()].sort((i, j) => of[i]! - of[j]!).slice(0, n);
    kept.set(order, b * n);
    for (const place of order) mask[b * K + place] = 0;
  }
  return { kept, mask };
}

/** The places that a mask leaves, `[batch * n]`: of each image row by row. @param mask `[batch, K]` */
export const keptOf = (mask: Float32Array, K: number): Int32Array =>
  Int32Array.from([...mask.keys()].filter((i) => mask[i] === 0).map((i) => i % K));

/** Pixels of every patch, in the order y, x, channel, as the decoder is to say them: `[batch, K, 3 patch^2]`. */
export function target(
  images: Images,
  { model, target: { normalised } }: Pick<MAEConfig, 'model' | 'target'>,
): Value<tf.Tensor3D> {
  const [g, p] = [gridOf(model), model.patch_size];
  const pixels = tf.tidy(() => {
    const x = imageTensor(images, model.image_size);
    const cells = tf.transpose(tf.reshape(x, [-1, g, p, g, p, 3]), [0, 1, 3, 2, 4, 5]);
    const t = tf.reshape(cells, [-1, g * g, 3 * p * p]) as tf.Tensor3D;
    if (!normalised) return t;
    const centred = tf.sub(t, tf.mean(t, -1, true));
    const variance = tf.div(tf.sum(tf.square(centred), -1, true), 3 * p * p - 1);
    return tf.div(centred, tf.sqrt(tf.add(variance, 1e-6))) as tf.Tensor3D;
  });
  return record(new Value(pixels));
}
