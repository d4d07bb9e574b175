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
  return lossOf(logits, loss, dlogits);
}
