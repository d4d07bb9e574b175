import * as tf from '@tensorflow/tfjs-core';
import type { Assign, Explain } from '../../electron/engine/explanation.ts';
import { gatherRows } from '../../electron/engine/kernels/gather-rows.ts';
import { imageTensor } from '../../electron/engine/layers/embed.ts';
import { nearest } from '../../electron/engine/layers/quantize.ts';
import { Tokens, unit } from '../../electron/engine/layers/tokens.ts';
import type { Network } from '../../electron/engine/network.ts';
import type { RunConfig } from '../../shared/config.ts';
import { ours } from './config.ts';
import { cellsOf, shapeOf, type VQShape } from './shape.ts';
import { CODES } from './specs.ts';
import { latentsOf, pictureOf } from './vq.ts';

/** What a tokenizer makes of a picture: codes, and the picture of these. */
const codes: Explain<RunConfig> = (network, { pixels }, config) => {
  const shape = shapeOf(ours(config));
  const image = signed(pixels);
  const { ids, drawn } = read(network, image, shape);
  const errors = errorsOf(image, drawn, shape);
  return {
    pictures: { reconstruction: bytesOf(drawn) },
    // Counted from 1, as people count.
    maps: { codes: [...ids].map((id) => id + 1), error: errors },
    figures: {
      error: mean(errors),
      grey: mean(errorsOf(image, flat(image, shape), shape)),
      distinct: new Set(ids).size,
    },
    words: 'Cells with the same code look the same to whoever is trained on these tokens.',
  };
};

export const explain = { codes };

/** Cosines of every cell's vector with the codes: the largest is its own. */
const members: Assign<RunConfig> = (network, images) =>
  tf.matMul(unit(latentsOf(network, images)).tensor, network.buffer(CODES) as tf.Tensor2D, false, true);

export const assign = { members };

/** Bytes as what a tokenizer sees, -1 to 1. */
export const signed = (pixels: Uint8Array): Float32Array => Float32Array.from(pixels, (byte) => byte / 127.5 - 1);

/** And back. */
export const bytesOf = (image: Float32Array): Uint8Array =>
  Uint8Array.from(image, (value) => Math.round(Math.min(255, Math.max(0, (value + 1) * 127.5))));

/** Codes of pictures, and the pictures of these. @param image `[n, side, side, 3]`, -1 to 1 */
export function read(network: Network, image: Float32Array, shape: VQShape): { ids: Int32Array; drawn: Float32Array } {
  const rows = tf.tidy(() => unit(latentsOf(network, image)).tensor.clone());
  const ids = nearest(rows, network.buffer(CODES) as tf.Tensor2D);
  rows.dispose();
  return { ids, drawn: draw(network, ids, shape) };
}

/** The pictures of codes. @param ids `[n * cells]` @returns `[n, side, side, 3]`, -1 to 1 */
export function draw(network: Network, ids: Int32Array, shape: VQShape): Float32Array {
  const picture = tf.tidy(() => {
    const rows = gatherRows(network.buffer(CODES) as tf.Tensor2D, ids);
    return pictureOf(network, new Tokens(rows, ids.length / cellsOf(shape) ** 2), shape).tensor.clone();
  });
  const values = Float32Array.from(picture.dataSync());
  picture.dispose();
  return values;
}

/** Mean square of each cell's difference, row by row. */
export function errorsOf(a: Float32Array, b: Float32Array, { image_size: side, patch_size: p }: VQShape): number[] {
  const grid = side / p;
  const sums = new Array<number>(grid * grid).fill(0);
  for (let i = 0; i < a.length; i++) {
    const pixel = Math.floor(i / 3);
    const [y, x] = [Math.floor(pixel / side), pixel % side];
    sums[Math.floor(y / p) * grid + Math.floor(x / p)]! += (a[i]! - b[i]!) ** 2;
  }
  return sums.map((sum) => sum / (3 * p * p));
}

/** Each cell as its mean colour: the least that a picture of tokens should do better than. */
export function flat(image: Float32Array, { image_size: side, patch_size: p }: VQShape): Float32Array {
  const small = tf.tidy(() => {
    const means = tf.avgPool(imageTensor(image, side), p, p, 'valid');
    return tf.image.resizeNearestNeighbor(means as tf.Tensor4D, [side, side]);
  });
  const values = Float32Array.from(small.dataSync());
  small.dispose();
  return values;
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
