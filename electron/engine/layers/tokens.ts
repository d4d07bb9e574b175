import * as tf from '@tensorflow/tfjs-core';
import { floats } from '../kernels/device.ts';
import { record, Value } from '../tape.ts';

/** Tokens of a batch as rows: `[batch * n, width]`, image by image. */
export class Tokens extends Value<tf.Tensor2D> {
  readonly batch: number;
  /** Tokens of an image. */
  readonly n: number;

  constructor(tensor: tf.Tensor2D, batch: number, again: (() => tf.Tensor2D) | null = null) {
    super(tensor, again);
    this.batch = batch;
    this.n = tensor.shape[0] / batch;
  }

  get width(): number {
    return this.tensor.shape[1];
  }
}

/** The tokens without CLS, in floats: `[batch, n - 1, width]`. */
export function patches(tokens: Tokens): Value<tf.Tensor3D> {
  const { batch, n, width } = tokens;
  const of = (rows: tf.Tensor2D) =>
    tf.slice(tf.reshape(rows, [batch, n, width]), [0, 1, 0], [batch, n - 1, width]) as tf.Tensor3D;
  const { again } = tokens;
  return record(
    new Value(
      tf.tidy(() => of(floats(tokens.tensor))),
      again && (() => tf.tidy(() => of(again()))),
    ),
    (dpatches) => {
      // Nothing was asked of CLS: no gradient comes through it.
      tokens.addGradient(
        tf.tidy(() => {
          const padded = tf.pad(dpatches, [[0, 0], [1, 0], [0, 0]]); // biome-ignore format: a pair an axis
          return tf.reshape(padded, [batch * n, width]);
        }),
      );
      dpatches.dispose();
    },
  );
}

/** Rows of unit length over the last axis. */
export function unit(x: Value<tf.Tensor3D>): Value<tf.Tensor3D> {
  return record(new Value(l2Normalize(x.tensor)), (dy) => {
    x.addGradient(tf.tidy(() => l2NormalizeGradient(dy as tf.Tensor3D, x.again?.() ?? x.tensor)));
    dy.dispose();
  });
}

/** Rows of unit length over the last axis (`F.normalize`: the length is not taken below 1e-12). */
export function l2Normalize<T extends tf.Tensor>(x: T): T {
  return tf.tidy(() => tf.div(x, lengthOf(x)));
}

// Under the root, so that the gradient of a zero row is zero and not 0/0.
const lengthOf = (x: tf.Tensor) => tf.sqrt(tf.maximum(tf.sum(tf.square(x), -1, true), 1e-24));

/** Its gradient; within a tidy. */
function l2NormalizeGradient(dy: tf.Tensor3D, x: tf.Tensor3D): tf.Tensor3D {
  const length = lengthOf(x);
  const rows = tf.div(x, length);
  return tf.div(tf.sub(dy, tf.mul(rows, tf.sum(tf.mul(dy, rows), -1, true))), length);
}
