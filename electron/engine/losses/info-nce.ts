import * as tf from '@tensorflow/tfjs-core';
import { record, Value } from '../tape.ts';
import { lossOf } from './loss.ts';

/** How queries found their own keys. */
export interface Found {
  /** Mean over the queries, nats. */
  loss: Value<tf.Scalar>;
  /** Cosine over temperature, `[rows, candidates]`; the tape's. */
  logits: Value<tf.Tensor2D>;
  /** Share of queries whose own key is nearer than every other candidate: a tie is not found. */
  top1: number;
}

/**
 * InfoNCE (arXiv 1807.03748, eq. 4; MoCo, arXiv 1911.05722, eq. 1): the cross-entropy of finding the own key among
 * candidates. No gradient reaches a key.
 * @param queries @param keys `[rows, width]`, of unit length; row i of one belongs to row i of the other
 * @param queue `[width, K]`, a key a column: the candidates are the own key, which comes first, and these. Null: they are the
 *   keys of all rows, in their order.
 */
export function infoNCE(
  queries: Value<tf.Tensor2D>,
  keys: Value<tf.Tensor2D>,
  temperature: number,
  queue: tf.Tensor2D | null = null,
): Found {
  const [q, k] = [queries.tensor, keys.tensor];
  const rows = q.shape[0];
  const [logits, loss, dqueries, top1] = tf.tidy(() => {
    const own = tf.sum(tf.mul(q, k), 1, true); // [rows, 1]
    const cosines = queue ? tf.concat([own, tf.matMul(q, queue)], 1) : tf.matMul(q, k, false, true);
    const said = tf.div(cosines, temperature) as tf.Tensor2D;
    const right = rightPlaces(said, queue !== null);
    // The own logit is taken from the same product as the others: computed anew it would differ in the last bit.
    const ofOwn = tf.sum(tf.mul(said, right), 1, true);
    const off = tf.sub(tf.softmax(said), right); // [rows, candidates]
    const dq = queue
      ? tf.add(tf.mul(columns(off, 0, 1), k), tf.matMul(columns(off, 1), queue, false, true))
      : tf.matMul(off, k);
    return [
      said,
      tf.mean(surprise(tf.sub(said, ofOwn), right)),
      tf.div(dq, temperature * rows),
      shareFound(said, ofOwn),
    ];
  }) as [tf.Tensor2D, tf.Scalar, tf.Tensor2D, tf.Scalar];
  const [found] = top1.dataSync();
  top1.dispose();
  return { loss: lossOf(queries, loss, dqueries), logits: record(new Value(logits)), top1: found! };
}

/**
 * The cross-entropy of each row, `[rows, 1]`, exact where it is small too, as it is with random keys: ln(1 + x) of what the
 * others add, and not the difference of two large logarithms.
 * @param behind every candidate's logit less the own one's @param right 1 at the own
 */
function surprise(behind: tf.Tensor, right: tf.Tensor): tf.Tensor {
  const most = tf.max(behind, 1, true); // not below 0, which is the own one's
  const others = tf.sum(tf.mul(tf.exp(tf.sub(behind, most)), tf.sub(1, right)), 1, true);
  return tf.add(most, tf.log1p(tf.add(others, tf.expm1(tf.neg(most)))));
}

/** 1 at the own key's candidate, else 0. */
function rightPlaces(logits: tf.Tensor2D, isFirst: boolean): tf.Tensor2D {
  const [rows, candidates] = logits.shape;
  return isFirst
    ? (tf.concat([tf.ones([rows, 1]), tf.zeros([rows, candidates - 1])], 1) as tf.Tensor2D)
    : tf.eye(rows, candidates);
}

const columns = (x: tf.Tensor, from: number, count = x.shape[1]! - from) =>
  tf.slice(x as tf.Tensor2D, [0, from], [x.shape[0]!, count]);

/** Share of rows in which every candidate but the right one is worse. Of NaN none is: that is not found. */
function shareFound(logits: tf.Tensor, own: tf.Tensor): tf.Tensor {
  const worse = tf.sum(tf.cast(tf.less(logits, own), 'float32'), 1);
  return tf.mean(tf.cast(tf.equal(worse, logits.shape[1]! - 1), 'float32'));
}
