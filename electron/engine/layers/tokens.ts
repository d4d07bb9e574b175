import * as tf from '@tensorflow/tfjs-core';
import { floats } from '../kernels/device.ts';
import { gatherRows, gatherRowsGradient } from '../kernels/gather-rows.ts';
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

/** Of each image one token or some, in floats: `[batch * count, width]`. @param from the first, CLS being 0 */
function rows(tokens: Tokens, from: number, count: number): Tokens {
  const { batch, n, width } = tokens;
  const out = tf.tidy(() => {
    const all = tf.reshape(floats(tokens.tensor), [batch, n, width]);
    return tf.reshape(tf.slice(all, [0, from, 0], [batch, count, width]), [batch * count, width]) as tf.Tensor2D;
  });
  return record(new Tokens(out, batch), (dout) => {
    tokens.addGradient(
      tf.tidy(() => {
        const some = tf.reshape(dout, [batch, count, width]) as tf.Tensor3D;
        const padded = tf.pad(some, [[0, 0], [from, n - from - count], [0, 0]]); // biome-ignore format: a pair an axis
        return tf.reshape(padded, [batch * n, width]);
      }),
    );
    dout.dispose();
  });
}

/** CLS alone, in floats: `[batch, width]`. */
export const clsRows = (tokens: Tokens): Tokens => rows(tokens, 0, 1);

/** The patches alone, as `patches` has them, but as rows: `[batch * (n - 1), width]`. */
export const patchRows = (tokens: Tokens): Tokens => rows(tokens, 1, tokens.n - 1);

/** Some rows of all, in floats, as tokens of one image. @param index `[n]`, each row once at most @returns `[n, width]` */
export function someRows(tokens: Tokens, index: Int32Array): Tokens {
  const [rows] = tokens.tensor.shape;
  const out = tf.tidy(() => gatherRows(floats(tokens.tensor), index));
  return record(new Tokens(out, 1), (dout) => {
    tokens.addGradient(gatherRowsGradient(dout, index, rows));
    dout.dispose();
  });
}

/**
 * Rows of several views as one batch, in floats, so that a BatchNorm after it sees all of them: one view after the other.
 * @param parts of as many tokens an image each
 */
export function join(parts: readonly Tokens[]): Tokens {
  const out = tf.tidy(() => tf.concat(parts.map(({ tensor }) => floats(tensor)))) as tf.Tensor2D;
  const batch = parts.reduce((sum, part) => sum + part.batch, 0);
  return record(new Tokens(out, batch), (dout) => {
    const sizes = parts.map(({ tensor }) => tensor.shape[0]);
    tf.split(dout, sizes).forEach((part, i) => {
      parts[i]!.addGradient(part);
    });
    dout.dispose();
  });
}

/** Undoes `join`. @param batches images of each part */
export function split(tokens: Tokens, batches: readonly number[]): Tokens[] {
  const { n, width } = tokens;
  const { tensor } = tokens;
  let from = 0;
  return batches.map((batch) => {
    const at = from;
    from += batch * n;
    const out = tf.tidy(() => tf.slice(floats(tensor), [at, 0], [batch * n, width]));
    return record(new Tokens(out, batch), (dout) => {
      const padded = tf.pad(dout, [[at, tensor.shape[0] - at - batch * n], [0, 0]]); // biome-ignore format: a pair an axis
      tokens.addGradient(padded);
      dout.dispose();
    });
  });
}

/** Rows of unit length over the last axis, in floats. */
export function unit(x: Tokens): Tokens;
export function unit(x: Value<tf.Tensor3D>): Value<tf.Tensor3D>;
export function unit(x: Tokens | Value<tf.Tensor3D>): Tokens | Value<tf.Tensor3D> {
  const y = tf.tidy(() => l2Normalize(floats<tf.Tensor>(x.tensor)));
  return record(x instanceof Tokens ? new Tokens(y as tf.Tensor2D, x.batch) : new Value(y as tf.Tensor3D), (dy) => {
    x.addGradient(tf.tidy(() => l2NormalizeGradient(dy, x.again?.() ?? floats<tf.Tensor>(x.tensor))));
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
function l2NormalizeGradient(dy: tf.Tensor, x: tf.Tensor): tf.Tensor {
  const length = lengthOf(x);
  const rows = tf.div(x, length);
  return tf.div(tf.sub(dy, tf.mul(rows, tf.sum(tf.mul(dy, rows), -1, true))), length);
}
