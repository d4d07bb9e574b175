import * as tf from '@tensorflow/tfjs-core';
import { floats, storageOf, store } from './device.ts';

/**
 * Softmax over the last axis of `logits + bias`. Disposes of `logits`.
 * @param logits `[batch, heads, n, n]` @param bias `[heads, n, n]` or null
 */
export function softmax(logits: tf.Tensor4D, bias: tf.Tensor3D | null): tf.Tensor4D {
  const probabilities = tf.tidy(() => {
    const x = floats(logits);
    return store(tf.softmax(bias ? tf.add(x, bias) : x), storageOf(logits)) as tf.Tensor4D;
  });
  logits.dispose();
  return probabilities;
}

/**
 * Its gradients. Disposes of `dp`.
 * @param p what `softmax` gave @param wantBias whether the bias's gradient, `[heads, n, n]`, is wanted
 */
export function softmaxGradient(
  dp: tf.Tensor4D,
  p: tf.Tensor4D,
  wantBias: boolean,
): { dlogits: tf.Tensor4D; dbias: tf.Tensor3D | null } {
  const [dlogits, dbias] = tf.tidy(() => {
    const [upstream, probabilities] = [floats(dp), floats(p)];
    const dot = tf.sum(tf.mul(upstream, probabilities), -1, true);
    const g = tf.mul(probabilities, tf.sub(upstream, dot));
    return wantBias ? [store(g, storageOf(dp)), tf.sum(g, 0)] : [store(g, storageOf(dp))];
  }) as [tf.Tensor4D, tf.Tensor3D?];
  dp.dispose();
  return { dlogits, dbias: dbias ?? null };
}
