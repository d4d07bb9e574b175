import * as tf from '@tensorflow/tfjs-core';
import { encode } from '../../electron/engine/encoder.ts';
import type { Explain } from '../../electron/engine/explanation.ts';
import { hostTidy } from '../../electron/engine/host.ts';
import { all } from '../../electron/engine/layers/embed.ts';
import { project } from '../../electron/engine/layers/head.ts';
import { clsRows, unit } from '../../electron/engine/layers/tokens.ts';
import type { RunConfig } from '../../shared/config.ts';
import { ours } from './config.ts';
import { headOf } from './network.ts';

/** Cosines of both crops of some images with each other: the matrix that a step's loss is made of. */
const pairs: Explain<RunConfig> = (network, { batch }, config) => {
  const { first, second } = batch as { first: Float32Array; second: Float32Array };
  const n = first.length / (3 * config.model.image_size ** 2);
  const cosines = hostTidy(() => {
    const [a, b] = [first, second].map(
      (images) => unit(project(network, headOf(ours(config)), clsRows(encode(network, all(images))), 'running')).tensor,
    );
    const rows = tf.concat([a!, b!]) as tf.Tensor2D; // [2n, out]: of the first view, then of the second
    return tf.matMul(rows, rows, false, true);
  });
  const at = (i: number, j: number) => cosines[i * 2 * n + j]!;
  const rows = Array.from({ length: 2 * n }, (_, i) => i);
  // A tie counts against the partner.
  const found = rows.filter((i) => {
    const partner = (i + n) % (2 * n);
    return rows.every((j) => j === i || j === partner || at(i, j) < at(i, partner));
  });
  const mean = (of: (i: number) => number) => rows.reduce((sum, i) => sum + of(i), 0) / rows.length;
  const toOthers = (i: number) => rows.reduce((sum, j) => (j % n === i % n ? sum : sum + at(i, j)), 0) / (2 * n - 2);
  return {
    pictures: {},
    maps: {},
    pairs: { cosine: [...cosines] },
    figures: {
      found: (100 * found.length) / rows.length,
      own: mean((i) => at(i, (i + n) % (2 * n))),
      others: n > 1 ? mean(toOthers) : 0,
    },
    words:
      'Cosines between features of both crops of each image, as the loss compares them; a crop with itself is no candidate. ' +
      'BatchNorms use their running statistics.',
  };
};

export const explain = { pairs };
