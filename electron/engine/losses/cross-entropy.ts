import * as tf from '@tensorflow/tfjs-core';
import type { Value } from '../tape.ts';
import { lossOf } from './loss.ts';

/**
 * Mean cross-entropy with targets that are distributions (`SoftTargetCrossEntropy` of timm), nats.
 * @param logits `[batch, classes]` @param targets `[batch, classes]`, rows summing to one
 */
export function softCrossEntropy(logits: Value<tf.Tensor2D>, targets: Float32Array): Value<tf.Scalar> {
  const [batch] = logits.tensor.shape;
  const [loss, dlogits] = tf.tidy(() => {
    const target = tf.tensor2d(targets, logits.tensor.shape);
    const entropy = tf.mul(tf.sum(tf.mul(target, tf.logSoftmax(logits.tensor))), -1 / batch);
    return [entropy, tf.div(tf.sub(tf.softmax(logits.tensor), target), batch)];
  }) as [tf.Scalar, tf.Tensor2D];
  return lossOf(loss, [logits, dlogits]);
}

/**
 * Sum over rows of the cross-entropy of softmax(logits / temperature) with weighted distributions, nats. No gradient
 * reaches the targets, which are computed here because nothing else needs them: they are as large as the logits.
 * @param logits `[rows, classes]`, in floats @param targetsOf gives the same shape: a row sums to what it counts for
 */
export function weightedCrossEntropy(
  logits: Value<tf.Tensor2D>,
  targetsOf: () => tf.Tensor,
  temperature: number,
): Value<tf.Scalar> {
  const [loss, dlogits] = tf.tidy(() => {
    const targets = tf.tidy(targetsOf);
    const log = tf.logSoftmax(tf.div(logits.tensor, temperature) as tf.Tensor2D);
    const counts = tf.sum(targets, 1, true);
    const gradient = tf.div(tf.sub(tf.mul(tf.exp(log), counts), targets), temperature);
    return [tf.neg(tf.sum(tf.mul(targets, log))), gradient];
  }) as [tf.Scalar, tf.Tensor2D];
  return lossOf(loss, [logits, dlogits]);
}

/** Mean cross-entropy with one class a row, nats. @param logits `[rows, classes]`, in floats @param labels `[rows]` */
export function crossEntropy(logits: Value<tf.Tensor2D>, labels: Int32Array): Value<tf.Scalar> {
  const [rows, classes] = logits.tensor.shape;
  return weightedCrossEntropy(logits, () => tf.div(tf.oneHot(tf.tensor1d(labels, 'int32'), classes), rows), 1);
}
