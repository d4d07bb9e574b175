import * as tf from '@tensorflow/tfjs-core';
import { taps } from '../../electron/engine/encoder.ts';
import { hostTidy } from '../../electron/engine/host.ts';
import { cells, embedRows, scaled } from '../../electron/engine/layers/grid.ts';
import { layerNorm } from '../../electron/engine/layers/norm.ts';
import { join, patchRows, type Tokens, unit } from '../../electron/engine/layers/tokens.ts';
import { weightedSum } from '../../electron/engine/losses/loss.ts';
import { meanDistance } from '../../electron/engine/losses/squared.ts';
import type { Network } from '../../electron/engine/network.ts';
import { frozen, record, Value } from '../../electron/engine/tape.ts';

export interface PerceptualConfig {
  /** Numbers of the blocks after which features are compared, rising. */
  taps: readonly number[];
  /** Whether the network's last LayerNorm comes before a feature's length. */
  lastNorm: boolean;
  /** With which the network was trained, of each channel, 0 to 1. */
  mean: readonly number[];
  std: readonly number[];
}

/** A quarter, half, three quarters and all of the blocks. */
export const quarters = (depth: number): number[] => [
  ...new Set([1, 2, 3, 4].map((part) => Math.max(1, Math.round((part * depth) / 4)))),
];

/**
 * How differently a frozen network sees a picture and its reconstruction (PeCo, arXiv 2111.12710): the sum over some of its
 * blocks of the mean over patches of the squared distance between features of unit length. A gradient reaches the
 * reconstruction, and neither the network nor the picture.
 * @param image @param drawn `[batch, side, side, 3]`, -1 to 1
 * @returns the sum, and what each block adds to it
 */
export function perceptual(
  network: Network,
  image: tf.Tensor4D,
  drawn: Value<tf.Tensor4D>,
  config: PerceptualConfig,
): { loss: Value<tf.Scalar>; terms: number[] } {
  const features = (x: Value<tf.Tensor4D>): Tokens => {
    const { mean, std } = config;
    const scale = std.map((s) => 1 / (2 * s));
    const own = scaled(x, scale, mean.map((m, channel) => -(2 * m - 1) * scale[channel]!)); // biome-ignore format: one call
    const rows = embedRows(network, cells(own, network.model.patch_size));
    const found = taps(network, rows, config.taps).map((tokens) =>
      config.lastNorm ? layerNorm(network, 'norm', tokens, network.model.layer_norm_eps) : tokens,
    );
    return join(found.map((tokens) => unit(patchRows(tokens))));
  };
  const wanted = frozen(() => features(record(new Value(image.clone()))));
  const said = features(drawn);
  const layers = config.taps.length;
  const rows = said.tensor.shape[0] / layers;
  const squares = hostTidy(() =>
    tf.sum(tf.reshape(tf.squaredDifference(said.tensor, wanted.tensor), [layers, rows * said.width]), 1),
  );
  const terms = Array.from(squares, (square) => square / rows);
  const mean = meanDistance(said, wanted.tensor, 'squared');
  return { loss: weightedSum([[mean, layers * said.width]]), terms };
}
