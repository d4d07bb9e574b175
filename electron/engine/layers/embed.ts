import * as tf from '@tensorflow/tfjs-core';
import { gridOf, patchesOf } from '../../../shared/config.ts';
import { store } from '../kernels/device.ts';
import { gatherRows, gatherRowsGradient } from '../kernels/gather-rows.ts';
import { columnSum } from '../kernels/sums.ts';
import { linear, weightGradient } from '../linear.ts';
import type { Network } from '../network.ts';
import type { EncoderConfig } from '../parameters.ts';
import { record } from '../tape.ts';
import type { Gradients } from '../weights.ts';
import { Tokens } from './tokens.ts';

/** Images as a loader gives them: `[batch, side, side, 3]`, normalised; an array, so that it may come from another thread. */
export type Images = Float32Array;

/** What of its images a network sees: all patches, or some replaced by the mask token, or only some of them. */
export interface Seen {
  images: Images;
  /** `[batch, K]`, 1 = replaced. */
  replaced: Float32Array | null;
  /** Patches that are kept: `[batch * n]` numbers below K, in the order in which the network gets them. */
  kept: Int32Array | null;
}

export const all = (images: Images): Seen => ({ images, replaced: null, kept: null });
export const replace = (images: Images, mask: Float32Array): Seen => ({ images, replaced: mask, kept: null });
export const keep = (images: Images, kept: Int32Array): Seen => ({ images, replaced: null, kept });

/**
 * Images as rows of patches, each patch's values in the order of a convolution's weight (channel, y, x).
 * @param x `[batch, side, side, 3]` @returns `[batch * K, 3 * patch * patch]`
 */
export function patchify(x: tf.Tensor4D, model: EncoderConfig): tf.Tensor2D {
  const [g, p, batch] = [gridOf(model), model.patch_size, x.shape[0]];
  return tf.tidy(() => {
    const cells = tf.reshape(x, [batch, g, p, g, p, 3]);
    return tf.reshape(tf.transpose(cells, [0, 1, 3, 5, 2, 4]), [batch * g * g, 3 * p * p]);
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
 */
export function embed(network: Network, { images, replaced, kept }: Seen): Tokens {
  const { model, weights } = network;
  const [K, dim, side] = [patchesOf(model), model.embed_dim, model.image_size];
  const batch = images.length / (side * side * 3);
  const n = kept ? kept.length / batch : K;
  const rows = kept && rowsOfBatch(kept, batch, K);
  const patches = tf.tidy(() => {
    const every = patchify(imageTensor(images, side), model);
    return store(rows ? gatherRows(every, rows) : every, weights.storage) as tf.Tensor2D;
  });
  const mask = replaced && tf.tensor2d(replaced, [batch, K]);
  const positions = positionsOf(network);
  const tokens = tf.tidy(() => {
    const product = linear(patches, weights, 'patch_embed.proj.weight', 'fp32'); // [batch * n, dim]
    let t: tf.Tensor = tf.reshape(tf.add(product, weights.get('patch_embed.proj.bias')), [batch, n, dim]);
    if (mask) {
      const w = tf.expandDims(mask, -1); // [batch, K, 1]
      t = tf.add(tf.mul(t, tf.sub(1, w)), tf.mul(weights.get('mask_token'), w));
    }
    t = tf.concat([tf.broadcastTo(weights.get('cls_token'), [batch, 1, dim]), t], 1);
    if (positions) t = tf.add(t, kept ? positionsOfKept(positions, kept, batch) : positions);
    return tf.reshape(t, [batch * (1 + n), dim]) as tf.Tensor2D;
  });
  return record(
    new Tokens(tokens, batch),
    (dt, gradients) => {
      embedGradient(network, { patches, mask, kept, batch, n }, dt as tf.Tensor2D, gradients);
      dt.dispose();
    },
    [patches, mask],
  );
}

/** Learned or fixed positions, `[1, 1 + K, dim]`, CLS first; null where a network has none at its input. */
const positionsOf = (network: Network): tf.Tensor | null =>
  network.weights.find('pos_embed') ?? network.findBuffer('pos_embed');

/** Of CLS and of the patches that are kept: `[batch, 1 + n, dim]`; within a tidy. */
function positionsOfKept(positions: tf.Tensor, kept: Int32Array, batch: number): tf.Tensor {
  const [, rows, dim] = positions.shape as [number, number, number];
  const table = tf.reshape(positions, [rows, dim]) as tf.Tensor2D;
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
  kept: Int32Array | null;
  batch: number;
  /** Patches of an image that are tokens. */
  n: number;
}

/** @param dt `[batch * (1 + n), dim]`, the caller's */
function embedGradient(network: Network, embedded: Embedded, dt: tf.Tensor2D, gradients: Gradients): void {
  const { model, weights } = network;
  const { patches, mask, kept, batch, n } = embedded;
  const [K, dim] = [patchesOf(model), model.embed_dim];
  const tokens = tf.reshape(dt, [batch, n + 1, dim]) as tf.Tensor3D;
  const ofPosition = tf.tidy(() => tf.sum(tokens, 0, true)); // [1, 1 + n, dim]
  gradients.add('cls_token', tf.slice(ofPosition, [0, 0, 0], [1, 1, dim]));
  if (!weights.find('pos_embed')) ofPosition.dispose();
  else if (!kept) gradients.add('pos_embed', ofPosition);
  else {
    const cls = tf.slice(ofPosition, [0, 0, 0], [1, 1, dim]);
    gradients.add(
      'pos_embed',
      tf.tidy(() => {
        const rows = tf.reshape(tf.slice(tokens, [0, 1, 0], [batch, n, dim]), [batch * n, dim]) as tf.Tensor2D;
        return tf.concat([cls, tf.reshape(gatherRowsGradient(rows, kept, K), [1, K, dim])], 1);
      }),
    );
    tf.dispose([cls, ofPosition]);
  }
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
  const rows = tf.reshape(dpatches, [batch * n, dim]) as tf.Tensor2D;
  gradients.add('patch_embed.proj.bias', columnSum(rows));
  const stored = store(rows, weights.storage);
  weightGradient(stored, patches, weights, 'patch_embed.proj.weight', gradients);
  tf.dispose([dpatches, rows, stored]);
}
