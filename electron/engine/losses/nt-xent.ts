import * as tf from '@tensorflow/tfjs-core';
import type { Value } from '../tape.ts';
import { lossOf } from './loss.ts';

/** How views found their partners. */
export interface Paired {
  /** Mean over the 2N rows, nats. */
  loss: Value<tf.Scalar>;
  /** Share of rows of the first view that are nearest to their partner among the second view's; a tie is not found. */
  accuracy: number;
  /** Of the first view's choice among the second view's rows, nats; ln N is guessing. */
  entropy: number;
}

/**
 * NT-Xent (SimCLR, arXiv 2002.05709, eq. 1 and algorithm 1): each of 2N rows finds its partner, the other view of its image,
 * among all 2N - 1 others. Every row is query and key, and the gradient goes through both.
 * @param rows `[2N, width]`, of unit length: the first view of every image, then the second in the same order
 */
export function ntXent(rows: Value<tf.Tensor2D>, temperature: number): Paired {
  const u = rows.tensor;
  const count = u.shape[0];
  const n = count / 2;
  if (!Number.isInteger(n)) throw new RangeError(`${count} rows are no two views of each image`);
  const [loss, gradient, measures] = tf.tidy(() => {
    const said = tf.div(tf.matMul(u, u, false, true), temperature) as tf.Tensor2D;
    const self = tf.eye(count);
    // A row is no candidate of its own: not a zero, which is a cosine like others.
    const logits = tf.where(tf.cast(self, 'bool'), tf.fill([count, count], Number.NEGATIVE_INFINITY), said);
    const half = tf.eye(n);
    const none = tf.zeros([n, n]);
    const partner = tf.concat([tf.concat([none, half], 1), tf.concat([half, none], 1)]);
    const off = tf.sub(tf.softmax(logits as tf.Tensor2D), partner) as tf.Tensor2D; // [2N, 2N]
    const du = tf.matMul(tf.add(off, tf.transpose(off)) as tf.Tensor2D, u);
    const right = tf.sum(tf.mul(said, partner), 1);
    const across = tf.slice(said, [0, n], [n, n]) as tf.Tensor2D;
    const probabilities = tf.softmax(across);
    const own = tf.sum(tf.mul(across, half), 1, true);
    const worse = tf.sum(tf.cast(tf.less(across, own), 'float32'), 1);
    return [
      tf.mean(tf.sub(tf.logSumExp(logits, 1), right)),
      tf.div(du, count * temperature),
      tf.stack([
        tf.mean(tf.cast(tf.equal(worse, n - 1), 'float32')),
        tf.neg(tf.mean(tf.sum(tf.mul(probabilities, tf.log(tf.add(probabilities, 1e-8))), 1))),
      ]),
    ];
  }) as [tf.Scalar, tf.Tensor2D, tf.Tensor1D];
  const [accuracy, entropy] = measures.dataSync();
  measures.dispose();
  return { loss: lossOf(loss, [rows, gradient]), accuracy: accuracy!, entropy: entropy! };
}
