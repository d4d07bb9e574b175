import * as tf from '@tensorflow/tfjs-core';
import { floats } from '../kernels/device.ts';
import type { Network } from '../network.ts';
import { record, Value } from '../tape.ts';
import { patchify } from './embed.ts';
import { linear } from './linear.ts';
import { addPositionGradient, positionsOn } from './position.ts';
import { Tokens } from './tokens.ts';

/** Undoes `patchify`. @param rows `[batch * grid^2, channels p^2]` */
export function unpatchify(rows: tf.Tensor2D, batch: number, p: number): tf.Tensor4D {
  const g = Math.sqrt(rows.shape[0] / batch);
  const channels = rows.shape[1] / (p * p);
  return tf.tidy(() => {
    const cells = tf.reshape(rows, [batch, g, g, channels, p, p]);
    return tf.reshape(tf.transpose(cells, [0, 1, 4, 2, 5, 3]), [batch, g * p, g * p, channels]) as tf.Tensor4D;
  });
}

/** Predicted patches as a picture, in floats. @param rows `[batch * K, channels p^2]`, as `patchify` has them @param p side of a patch */
export function picture(rows: Tokens, p: number): Value<tf.Tensor4D> {
  const { batch } = rows;
  return record(new Value(tf.tidy(() => unpatchify(floats(rows.tensor), batch, p))), (dx) => {
    rows.addGradient(patchify(dx, p));
    dx.dispose();
  });
}

/** A picture as rows of patches, through which a gradient comes back to it. @param p side of a patch */
export function cells(x: Value<tf.Tensor4D>, p: number): Tokens {
  const [batch] = x.tensor.shape;
  return record(new Tokens(patchify(x.tensor, p), batch), (drows) => {
    x.addGradient(unpatchify(drows, batch, p));
    drows.dispose();
  });
}

/** x scale + shift, of each channel. @param x `[batch, side, side, channels]` */
export function scaled(x: Value<tf.Tensor4D>, scale: readonly number[], shift: readonly number[]): Value<tf.Tensor4D> {
  const by = (of: readonly number[]) => tf.tensor1d([...of]);
  return record(new Value(tf.tidy(() => tf.add(tf.mul(x.tensor, by(scale)), by(shift)) as tf.Tensor4D)), (dy) => {
    x.addGradient(tf.tidy(() => tf.mul(dy, by(scale))));
    dy.dispose();
  });
}

/**
 * Rows that are on the tape as tokens: a product (`patch_embed.proj`), CLS in front, and positions. What `embed` makes of
 * images, for what is no image, or for one that a gradient is to reach.
 * @param rows `[batch * K, values]` @returns `[batch * (1 + K), dim]`, in floats
 */
export function embedRows(network: Network, rows: Tokens): Tokens {
  const { weights } = network;
  const x = linear(network, 'patch_embed.proj', rows);
  const { batch, n: K, width: dim } = x;
  const places = positionsOn(network, Math.sqrt(K));
  const tokens = tf.tidy(() => {
    const cls = tf.broadcastTo(weights.get('cls_token'), [batch, 1, dim]);
    const all = tf.concat([cls, tf.reshape(x.tensor, [batch, K, dim])], 1);
    return tf.reshape(places ? tf.add(all, places.tensor) : all, [batch * (1 + K), dim]) as tf.Tensor2D;
  });
  return record(
    new Tokens(tokens, batch),
    (dt, gradients) => {
      const all = tf.reshape(dt, [batch, 1 + K, dim]) as tf.Tensor3D;
      const ofPosition: tf.Tensor3D = tf.tidy(() => tf.sum(all, 0, true));
      gradients.add('cls_token', tf.slice(ofPosition, [0, 0, 0], [1, 1, dim]));
      if (places && weights.find('pos_embed')) addPositionGradient(places, ofPosition, gradients);
      x.addGradient(tf.tidy(() => tf.reshape(tf.slice(all, [0, 1, 0], [batch, K, dim]), [batch * K, dim])));
      tf.dispose([dt, all, ofPosition]);
    },
    [places?.tensor ?? null, places?.matrix ?? null],
  );
}

/** The hyperbolic tangent, in floats. */
export function tanh(x: Tokens): Tokens {
  const y = tf.tidy(() => tf.tanh(floats(x.tensor)));
  const kept = y.clone();
  return record(
    new Tokens(y, x.batch),
    (dy) => {
      x.addGradient(tf.tidy(() => tf.mul(dy, tf.sub(1, tf.square(kept)))));
      dy.dispose();
    },
    [kept],
  );
}
