import * as tf from '@tensorflow/tfjs-core';
import { record, Value } from '../tape.ts';
import { lossOf } from './loss.ts';

/** How queries found their own keys. */
export interface Found {
  /** Mean over the queries, nats. */
  loss: Value<tf.Scalar>;
  /** Cosine over temperature, `[rows, candidates]`; the tape's. Null where they were too many to be there at once. */
  logits: Value<tf.Tensor2D> | null;
  /** Share of queries whose own key is nearer than every other candidate: a tie is not found. */
  top1: number;
}

/** Logits that are computed at once, 32 MB of them (and some times as much of what comes of them); of more, rows after rows. */
const LARGEST = 2 ** 23;

/**
 * InfoNCE (arXiv 1807.03748, eq. 4; MoCo, arXiv 1911.05722, eq. 1): the cross-entropy of finding the own key among
 * candidates. No gradient reaches a key.
 * @param queries @param keys `[rows, width]`, of unit length; row i of one belongs to row i of the other
 * @param queue `[width, K]`, a key a column: the candidates are the own key, which comes first, and these. Null: they are the
 *   keys of all rows, in their order.
 * @param largest logits at once; the loss, its gradient and the rows that are found are the same, whatever it is
 */
export function infoNCE(
  queries: Value<tf.Tensor2D>,
  keys: Value<tf.Tensor2D>,
  temperature: number,
  queue: tf.Tensor2D | null = null,
  largest = LARGEST,
): Found {
  const rows = queries.tensor.shape[0];
  const candidates = queue ? 1 + queue.shape[1] : rows;
  const together = Math.max(1, Math.floor(largest / candidates));
  const parts: Piece[] = [];
  for (let from = 0; from < rows; from += together) {
    const count = Math.min(together, rows - from);
    const isWhole = count === rows;
    parts.push(
      tf.tidy(() => piece(queries.tensor, keys.tensor, { temperature, queue, from, count, keepsLogits: isWhole })),
    );
  }
  const [loss, dqueries, found] = tf.tidy(() => {
    const all = (of: Exclude<keyof Piece, 'logits'>) => tf.concat(parts.map((one) => one[of]));
    return [tf.mean(all('surprise')), all('dqueries'), tf.mean(all('found'))];
  }) as [tf.Scalar, tf.Tensor2D, tf.Scalar];
  const [top1] = found.dataSync();
  tf.dispose([found, ...parts.flatMap((one) => [one.surprise, one.dqueries, one.found])]);
  const { logits } = parts[0]!;
  return { loss: lossOf(loss, [queries, dqueries]), logits: logits ? record(new Value(logits)) : null, top1: top1! };
}

/** What became of some of the queries, row by row. */
type Piece = {
  /** Nats, `[count, 1]`. */
  surprise: tf.Tensor2D;
  /** Of the mean over all queries, `[count, width]`. */
  dqueries: tf.Tensor2D;
  /** 1 where the own key is nearer than all others, `[count]`. */
  found: tf.Tensor1D;
  logits?: tf.Tensor2D;
};

/** The rows from `from` on; within a tidy. */
function piece(
  queries: tf.Tensor2D,
  keys: tf.Tensor2D,
  how: { temperature: number; queue: tf.Tensor2D | null; from: number; count: number; keepsLogits: boolean },
): Piece {
  const { temperature, queue, from, count } = how;
  const [rows, width] = queries.shape;
  const [q, k] = [queries, keys].map((x) => tf.slice(x, [from, 0], [count, width])) as [tf.Tensor2D, tf.Tensor2D];
  const own = tf.sum(tf.mul(q, k), 1, true); // [count, 1]
  const cosines = queue ? tf.concat([own, tf.matMul(q, queue)], 1) : tf.matMul(q, keys, false, true);
  const logits = tf.div(cosines, temperature) as tf.Tensor2D;
  const places = queue ? new Int32Array(count) : Int32Array.from({ length: count }, (_, i) => from + i);
  const right = tf.oneHot(tf.tensor1d(places, 'int32'), logits.shape[1]);
  // The own logit is taken from the same product as the others: computed anew it would differ in the last bit.
  const ofOwn = tf.sum(tf.mul(logits, right), 1, true);
  const off = tf.sub(tf.softmax(logits), right); // [count, candidates]
  const dq = queue
    ? tf.add(tf.mul(columns(off, 0, 1), k), tf.matMul(columns(off, 1), queue, false, true))
    : tf.matMul(off as tf.Tensor2D, keys);
  return {
    surprise: surprise(tf.sub(logits, ofOwn), right) as tf.Tensor2D,
    dqueries: tf.div(dq, temperature * rows),
    found: isFound(logits, ofOwn),
    ...(how.keepsLogits && { logits }),
  };
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

const columns = (x: tf.Tensor, from: number, count = x.shape[1]! - from) =>
  tf.slice(x as tf.Tensor2D, [0, from], [x.shape[0]!, count]);

/** 1 for rows in which every candidate but the right one is worse. Of NaN none is: that is not found. */
function isFound(logits: tf.Tensor, own: tf.Tensor): tf.Tensor1D {
  const worse = tf.sum(tf.cast(tf.less(logits, own), 'float32'), 1);
  return tf.cast(tf.equal(worse, logits.shape[1]! - 1), 'float32') as tf.Tensor1D;
}
