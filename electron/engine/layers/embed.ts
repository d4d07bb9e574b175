import * as tf from '@tensorflow/tfjs-core';
import { store } from '../kernels/device.ts';
import { gatherRows, gatherRowsGradient } from '../kernels/gather-rows.ts';
import { columnSum } from '../kernels/sums.ts';
import { linear, weightGradient } from '../linear.ts';
import type { Network } from '../network.ts';
import { record } from '../tape.ts';
import type { Gradients } from '../weights.ts';
import { addPositionGradient, type Positions, positionsOn } from './position.ts';
import { Tokens } from './tokens.ts';

/** Images as a loader gives them: `[batch, side, side, 3]`, normalised; an array, so that it may come from another thread. */
export type Images = Float32Array;

/** Images of several views as one batch: one view after the other. */
export function joinImages(views: readonly Images[]): Images {
  const out = new Float32Array(views.reduce((sum, view) => sum + view.length, 0));
  let at = 0;
  for (const view of views) {
    out.set(view, at);
    at += view.length;
  }
  return out;
}

/** What of its images a network sees: all patches, or some replaced by the mask token, or only some of them. */
export interface Seen {
  images: Images;
  /** Of an image, pixels; the model's own where it is left out. */
  side?: number | undefined;
  /** `[batch, K]`, 1 = replaced. */
  replaced?: Float32Array;
  /** Patches that are kept: `[batch * n]` numbers below K, in the order in which the network gets them. */
  kept?: Int32Array;
}

/** @param side of an image, pixels: a crop of another size than the model's own gets its positions interpolated */
export const all = (images: Images, side?: number): Seen => ({ images, side });
export const replace = (images: Images, mask: Float32Array, side?: number): Seen => ({ images, side, replaced: mask });
export const keep = (images: Images, kept: Int32Array, side?: number): Seen => ({ images, side, kept });

/**
 * Images as rows of patches, each patch's values in the order of a convolution's weight (channel, y, x).
 * @param x `[batch, side, side, channels]` @param p side of a patch @returns `[batch * K, channels * patch * patch]`
 */
export function patchify(x: tf.Tensor4D, p: number): tf.Tensor2D {
  const [batch, side, , channels] = x.shape;
  const g = side / p;
  return tf.tidy(() => {
    const cells = tf.reshape(x, [batch, g, p, g, p, channels]);
    return tf.reshape(tf.transpose(cells, [0, 1, 3, 5, 2, 4]), [batch * g * g, channels * p * p]);
  });
}

/** The images of a batch as a tensor, `[batch, side, side, 3]`. */
export function imageTensor(images: Images, side: number): tf.Tensor4D {
  return tf.tensor4d(images, [images.length / (side * side * 3), side, side, 3]);
}

/** Numbers of patches within each image as numbers of rows of the batch. */
export function rowsOfBatch(kept: Int32Array, batch: number, K: number): Int32Array {
  const n = kept.length / batch;
  return kept.map((place, i) => Math.floor(i / n) * K + place);
}

/**
 * Patches as tokens, with mask tokens, CLS in front, and positions (`VisionTransformerForMaskedImageModeling.
 * forward_features` of modeling_pretrain.py; of a subset `forward_encoder` of MAE, arXiv 2111.06377).
 * @returns `[batch * (1 + n), dim]`, in floats
 * @throws RangeError where a side is no whole number of patches
 */
export function embed(network: Network, { images, side = network.model.image_size, replaced, kept }: Seen): Tokens {
  const { model, weights } = network;
  const { embed_dim: dim, patch_size: patch } = model;
  if (side % patch !== 0) throw new RangeError(`${side} pixels are no whole number of patches of ${patch}`);
  const K = (side / patch) ** 2;
  const batch = images.length / (side * side * 3);
  const n = kept ? kept.length / batch : K;
  const places = positionsOn(network, side / patch);
  const patches = tf.tidy(() => {
    const every = patchify(imageTensor(images, side), patch);
    return store(kept ? gatherRows(every, rowsOfBatch(kept, batch, K)) : every, weights.storage) as tf.Tensor2D;
  });
  const mask = replaced ? tf.tensor2d(replaced, [batch, K]) : null;
  const tokens = tf.tidy(() => {
    const product = linear(patches, weights, 'patch_embed.proj.weight', 'fp32'); // [batch * n, dim]
    let t: tf.Tensor = tf.reshape(tf.add(product, weights.get('patch_embed.proj.bias')), [batch, n, dim]);
    if (mask) {
      const w = tf.expandDims(mask, -1); // [batch, K, 1]
      t = tf.add(tf.mul(t, tf.sub(1, w)), tf.mul(weights.get('mask_token'), w));
    }
    t = tf.concat([tf.broadcastTo(weights.get('cls_token'), [batch, 1, dim]), t], 1);
    if (places) t = tf.add(t, kept ? ofKept(places.tensor, kept, batch) : places.tensor);
    return tf.reshape(t, [batch * (1 + n), dim]) as tf.Tensor2D;
  });
  const embedded = { patches, mask, kept, places, batch, n, K };
  return record(
    new Tokens(tokens, batch),
    (dt, gradients) => {
      embedGradient(network, embedded, dt as tf.Tensor2D, gradients);
      dt.dispose();
    },
    [patches, mask, places?.tensor ?? null, places?.matrix ?? null],
  );
}

/** Positions of CLS and of the patches that are kept: `[batch, 1 + n, dim]`; within a tidy. */
function ofKept(places: tf.Tensor3D, kept: Int32Array, batch: number): tf.Tensor {
  const [, rows, dim] = places.shape;
  const table = tf.reshape(places, [rows, dim]) as tf.Tensor2D;
  const cls = tf.broadcastTo(tf.slice(table, [0, 0], [1, dim]), [batch, 1, dim]);
  const patches = gatherRows(
    table,
    kept.map((place) => 1 + place),
  );
  return tf.concat([cls, tf.reshape(patches, [batch, kept.length / batch, dim])], 1);
}

interface Embedded {
  patches: tf.Tensor2D;
  mask: tf.Tensor2D | null;
  kept: Int32Array | undefined;
  places: Positions | null;
  batch: number;
  /** Patches of an image that are tokens, and all of them. */
  n: number;
  K: number;
}

/** @param dt `[batch * (1 + n), dim]`, the caller's */
function embedGradient(network: Network, embedded: Embedded, dt: tf.Tensor2D, gradients: Gradients): void {
  const { weights } = network;
  const { patches, mask, kept, places, batch, n, K } = embedded;
  const dim = dt.shape[1];
  const tokens = tf.reshape(dt, [batch, n + 1, dim]) as tf.Tensor3D;
  const ofPosition: tf.Tensor3D = tf.tidy(() => tf.sum(tokens, 0, true)); // [1, 1 + n, dim]
  gradients.add('cls_token', tf.slice(ofPosition, [0, 0, 0], [1, 1, dim]));
  if (places && weights.find('pos_embed')) {
    const ofEvery = kept ? spreadOverGrid(tokens, ofPosition, kept, K) : ofPosition.clone();
    addPositionGradient(places, ofEvery, gradients);
    ofEvery.dispose();
  }
  ofPosition.dispose();
  // A patch embedding that is never trained asks for none of the rest.
  const isTrained = gradients.wants('patch_embed.proj.weight') || gradients.wants('patch_embed.proj.bias');
  let dpatches: tf.Tensor = tf.slice(tokens, [0, 1, 0], [batch, n, dim]);
  tokens.dispose();
  if (mask) {
    const every = dpatches;
    const [masked, seen] = tf.tidy(() => {
      const w = tf.expandDims(mask, -1);
      return [tf.reshape(tf.sum(tf.mul(every, w), [0, 1]), [1, 1, dim]), tf.mul(every, tf.sub(1, w))];
    }) as [tf.Tensor, tf.Tensor];
    every.dispose();
    gradients.add('mask_token', masked);
    dpatches = seen;
  }
  if (isTrained) {
    const rows = tf.reshape(dpatches, [batch * n, dim]) as tf.Tensor2D;
    gradients.add('patch_embed.proj.bias', columnSum(rows));
    const stored = store(rows, weights.storage);
    weightGradient(stored, patches, weights, 'patch_embed.proj.weight', gradients);
    tf.dispose([rows, stored]);
  }
  dpatches.dispose();
}

/** The gradient of every position of the grid, `[1, 1 + K, dim]`: zero where no image keeps the patch. */
function spreadOverGrid(tokens: tf.Tensor3D, ofPosition: tf.Tensor, kept: Int32Array, K: number): tf.Tensor3D {
  const [batch, n, dim] = tokens.shape;
  return tf.tidy(() => {
    const cls = tf.slice(ofPosition, [0, 0, 0], [1, 1, dim]);
    const patches = tf.slice(tokens, [0, 1, 0], [batch, n - 1, dim]);
    const rows = tf.reshape(patches, [batch * (n - 1), dim]) as tf.Tensor2D;
    return tf.concat([cls, tf.reshape(gatherRowsGradient(rows, kept, K), [1, K, dim])], 1) as tf.Tensor3D;
  });
}
