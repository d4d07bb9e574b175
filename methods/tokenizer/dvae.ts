import * as tf from '@tensorflow/tfjs-core';
import { convolve, deconvolve, type Grid, relu, sum } from '../../electron/engine/layers/convolution.ts';
import { type Images, imageTensor } from '../../electron/engine/layers/embed.ts';
import { cells, picture } from '../../electron/engine/layers/grid.ts';
import { mixture } from '../../electron/engine/layers/quantize.ts';
import type { Tokens } from '../../electron/engine/layers/tokens.ts';
import { lossOf, weightedSum } from '../../electron/engine/losses/loss.ts';
import { type Distance, meanDistance } from '../../electron/engine/losses/squared.ts';
import type { Network, NetworkSpec } from '../../electron/engine/network.ts';
import type { EncoderConfig } from '../../electron/engine/parameters.ts';
import { record, Value } from '../../electron/engine/tape.ts';
import type { Method, TrainerConfig } from '../../electron/engine/trainer.ts';
import type { DVAEShape } from './shape.ts';
import { dvaeSpecs } from './specs.ts';

function residual(network: Network, name: string, x: Grid): Grid {
  const first = relu(convolve(network, `${name}.0`, x));
  const second = relu(convolve(network, `${name}.2`, first));
  return sum(x, convolve(network, `${name}.4`, second));
}

/** How likely each token is at each cell, before a softmax: `[batch * cells, V]`. @param x `[batch, side, side, 3]`, -1 to 1 */
export function dvaeLogits(network: Network, x: Grid, layers: number): Tokens {
  let y = x;
  for (let i = 0; i < layers; i++) {
    y = relu(convolve(network, `encoder.${2 * i}.0`, y, 2));
    y = residual(network, `encoder.${2 * i + 1}.net`, y);
  }
  return cells(convolve(network, `encoder.${2 * layers}`, y), 1);
}

/** The picture of codes, `[batch, side, side, 3]`. @param codes `[batch * cells, width]` */
export function dvaePicture(network: Network, codes: Tokens, layers: number): Grid {
  let y = picture(codes, 1);
  for (let i = 0; i < layers; i++) {
    y = relu(deconvolve(network, `decoder.${2 * i}.0`, y));
    y = residual(network, `decoder.${2 * i + 1}.net`, y);
  }
  return convolve(network, `decoder.${2 * layers}`, y);
}

/**
 * How far the tokens of a cell are from equally likely, summed over all cells of all images: as published, where it was
 * meant to be a mean.
 */
export function divergence(logits: Tokens): Value<tf.Scalar> {
  const [loss, gradient] = tf.tidy(() => {
    const q = tf.softmax(logits.tensor);
    const weight = tf.add(q, 1e-10);
    const l = tf.log(weight);
    const uniform = Math.log(logits.width);
    const mean = tf.sum(tf.mul(q, l), 1, true);
    return [tf.sum(tf.mul(weight, tf.add(l, uniform))), tf.mul(q, tf.sub(l, mean))];
  }) as [tf.Scalar, tf.Tensor2D];
  return lossOf(loss, [logits, gradient]);
}

export interface DVAEConfig extends TrainerConfig {
  /** Of whatever network it is a part of. */
  model: EncoderConfig;
  shape: DVAEShape;
  distance: Distance;
  /** One-hot on the way there. */
  hard: boolean;
  /** Of the divergence. */
  weight: number;
}

export interface DVAEBatch {
  /** `[batch, side, side, 3]`, -1 to 1. */
  images: Images;
  /** `[batch * cells * V]`, of a Gumbel distribution. */
  noise: Float32Array;
  temperature: number;
}

/** A step of a discrete VAE (`DiscreteVAE.forward`): reconstruction through a mixture of codes. */
export const dvaeStep: Method<DVAEConfig, DVAEBatch> = {
  student: ({ model, shape }): NetworkSpec => ({ model, parameters: dvaeSpecs(shape), buffers: [] }),
  teacher: () => null,

  step({ student }, { images, noise, temperature }, { shape, distance, hard, weight }, show) {
    const x = record(new Value(imageTensor(images, shape.image_size)));
    const logits = dvaeLogits(student, x, shape.layers);
    const codes = mixture(student, 'codebook.weight', logits, noise, { temperature, hard });
    const drawn = dvaePicture(student, codes, shape.layers);
    show?.('logits', logits.tensor);
    show?.('reconstruction', drawn.tensor);
    const off = meanDistance(drawn, x.tensor, distance);
    const reconstruction = off.tensor.dataSync()[0]!;
    if (weight === 0) return { loss: off, figures: { reconstruction, kl: null } };
    const far = divergence(logits);
    const kl = far.tensor.dataSync()[0]!;
    return { loss: weightedSum([[off, 1], [far, weight]]), figures: { reconstruction, kl } }; // biome-ignore format: a pair a term
  },
};
