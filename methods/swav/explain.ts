import * as tf from '@tensorflow/tfjs-core';
import { encode } from '../../electron/engine/encoder.ts';
import type { Assign } from '../../electron/engine/explanation.ts';
import { all } from '../../electron/engine/layers/embed.ts';
import { project } from '../../electron/engine/layers/head.ts';
import { clsRows, l2Normalize, unit } from '../../electron/engine/layers/tokens.ts';
import type { RunConfig } from '../../shared/config.ts';
import { ours } from './config.ts';
import { headOf } from './network.ts';

/** Cosines of images with prototypes, by BatchNorm's running statistics: what an image is near does not depend on its company. */
export const prototypes: Assign<RunConfig> = (network, images, config) => {
  const features = clsRows(encode(network, all(images)));
  const z = unit(project(network, headOf(ours(config), features.width), features, 'running'));
  return tf.matMul(z.tensor, l2Normalize(network.weights.get('prototypes.weight')), false, true) as tf.Tensor2D;
};

export const explain = {};
export const assign = { prototypes };
