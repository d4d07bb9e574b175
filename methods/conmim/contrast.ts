import * as tf from '@tensorflow/tfjs-core';
import { hostTidy } from '../../electron/engine/host.ts';
import { lossOf } from '../../electron/engine/losses/loss.ts';
import type { Value } from '../../electron/engine/tape.ts';
import type { Contrast } from './config.ts';

/** `[batch, K]`, 1 = masked. */
type Mask = tf.Tensor2D | Float32Array;

/** Within a tidy. */
const maskTensor = (mask: Mask, batch: number, K: number): tf.Tensor2D =>
  mask instanceof Float32Array ? tf.tensor2d(mask, [batch, K]) : mask;

/** How a batch of look-ups went; all over the masked patches. */
export interface Lookup {
  top1: number;
  top5: number;
  /** Top-1 of the same queries among another image's keys: what position alone gives. Null for a batch of one image, in however many crops. */
  top1_control: number | null;
}

/**
 * Every query against every key of its dictionary, over the temperature.
 * @param queries @param keys `[batch, K, out]`, of unit length
 * @returns `[batch, K, K]`, or for a dictionary of the whole batch `[batch, K, batch * K]`
 */
export function dictionaryLogits(queries: tf.Tensor3D, keys: tf.Tensor3D, config: Contrast): tf.Tensor3D {
  const scale = 1 / config.temperature;
  if (config.dictionary === 'image') return tf.mul(tf.matMul(queries, keys, false, true), scale);
  const [batch, K, out] = queries.shape;
  const flat = (x: tf.Tensor) => tf.reshape(x, [batch * K, out]) as tf.Tensor2D;
  return tf.reshape(tf.mul(tf.matMul(flat(queries), flat(keys), false, true), scale), [batch, K, batch * K]);
}

/**
 * Denoising contrast (arXiv 2205.09616, eq. 3): the mean over masked patches of the cross-entropy of finding the key
 * at the same place. No gradient reaches the keys.
 * @param queries @param keys `[batch, K, out]`, of unit length
 * @param mask `[batch, K]`, 1 = masked
 */
export function denoisingContrast(
  queries: Value<tf.Tensor3D>,
  keys: Value<tf.Tensor3D>,
  mask: Float32Array,
  config: Contrast,
): Value<tf.Scalar> {
  const { loss, dqueries } = contrastLoss(queries.tensor, keys.tensor, mask, config);
  return lossOf(loss, [queries, dqueries]);
}

/**
 * The same on tensors.
 * @returns a scalar, and its gradient for the queries, `[batch, K, out]`
 */
export function contrastLoss(
  queries: tf.Tensor3D,
  keys: tf.Tensor3D,
  mask: Mask,
  config: Contrast,
): { loss: tf.Scalar; dqueries: tf.Tensor3D } {
  const [batch, K, out] = queries.shape;
  const [loss, dqueries] = tf.tidy(() => {
    const logits = dictionaryLogits(queries, keys, config);
    const positives = tf.mul(tf.sum(tf.mul(queries, keys), -1), 1 / config.temperature); // [batch, K]
    const entropy = tf.sub(tf.logSumExp(logits, -1), positives);
    const masked = maskTensor(mask, batch, K);
    const share = tf.div(masked, tf.sum(masked)); // [batch, K]
    // d loss / d query: the keys as they were weighed, less the right one.
    const probabilities = tf.softmax(logits);
    const weighed =
      config.dictionary === 'image'
        ? tf.matMul(probabilities, keys)
        : tf.reshape(
            tf.matMul(
              tf.reshape(probabilities, [batch * K, batch * K]) as tf.Tensor2D,
              tf.reshape(keys, [batch * K, out]) as tf.Tensor2D,
            ),
            [batch, K, out],
          );
    const factor = tf.expandDims(tf.mul(share, 1 / config.temperature), -1);
    return [tf.sum(tf.mul(entropy, share)), tf.mul(tf.sub(weighed, keys), factor)];
  }) as [tf.Scalar, tf.Tensor3D];
  return { loss, dqueries };
}

/**
 * Rank of the right key for each query, 0 = found. A tie counts against the query, or a collapsed network, whose keys
 * are all one, would find everything.
 * @returns `[batch, K]`
 */
export function lookupRanks(queries: tf.Tensor3D, keys: tf.Tensor3D, config: Contrast): tf.Tensor2D {
  return tf.tidy(() => {
    const logits = dictionaryLogits(queries, keys, config);
    const [batch, K, n] = logits.shape;
    // The right key's logit is taken from the same product: computed anew it would differ in the last bit.
    const place = n === K ? tf.eye(K) : tf.reshape(tf.eye(n), [batch, K, n]);
    const own = tf.sum(tf.mul(logits, place), -1, true);
    // Keys that are worse are counted, not those that are better: of NaN none is either, and that is not found.
    return tf.sub(n - 1, tf.sum(tf.cast(tf.less(logits, own), 'float32'), -1)) as tf.Tensor2D;
  });
}

/**
 * Top-1, top-5 and the control of a batch of look-ups.
 * @param isOther `[batch]`, of each image whether the next one of the batch is another: few images stand in a batch more
 *   than once, and an image's own keys are no control; null where all are others
 */
export function lookup(
  queries: tf.Tensor3D,
  keys: tf.Tensor3D,
  mask: Mask,
  config: Contrast,
  isOther: readonly boolean[] | null = null,
): Lookup {
  const [batch, K] = queries.shape;
  const [top1, top5, control] = hostTidy(() => {
    const masked = maskTensor(mask, batch, K);
    const share = (ranks: tf.Tensor2D, below: number, counted: tf.Tensor = masked) =>
      tf.div(tf.sum(tf.mul(tf.cast(tf.less(ranks, below), 'float32'), counted)), tf.sum(counted));
    const ranks = lookupRanks(queries, keys, config);
    const found = [share(ranks, 1), share(ranks, 5)];
    if (batch > 1 && isOther?.includes(true) !== false) {
      const others = nextImages(keys);
      // The control is always within one image: with the whole batch as dictionary the right key would be there.
      const counted = isOther?.includes(false)
        ? tf.mul(masked, tf.tensor2d(isOther.map(Number), [batch, 1], 'float32'))
        : masked;
      found.push(share(lookupRanks(queries, others, { ...config, dictionary: 'image' }), 1, counted));
    }
    return tf.stack(found);
  });
  return { top1: top1!, top5: top5!, top1_control: control ?? null };
}

/** Of each image the keys of the next one of the batch, the first's after the last: what the control asks for. */
export function nextImages(keys: tf.Tensor3D): tf.Tensor3D {
  const [batch] = keys.shape;
  if (batch === 1) return keys;
  return tf.tidy(() => tf.concat([tf.slice(keys, [1], [batch - 1]), tf.slice(keys, [0], [1])]) as tf.Tensor3D);
}
