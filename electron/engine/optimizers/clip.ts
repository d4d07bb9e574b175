import * as tf from '@tensorflow/tfjs-core';
import { sumSquares } from '../kernels/sums.ts';
import type { Gradients } from '../weights.ts';

/** Global norm of all gradients. */
export function gradientNorm(gradients: Gradients): number {
  const total = sumSquares([...gradients.tensors.values()]);
  const [square] = total.dataSync();
  total.dispose();
  return Math.sqrt(square!) / gradients.scale;
}

/** The factor of `torch.nn.utils.clip_grad_norm_`. */
export const clipFactor = (norm: number, clip: number | null) =>
  clip === null ? 1 : Math.min(1, clip / (norm + 1e-6));

/** What a tensor is part of: published ViTs have one bias for queries, keys and values. */
const wholeOf = (name: string) => name.replace(/(\.attn\.)[qv]_bias$/, '$1qkv.bias');

/** Shortens the gradient of each published tensor that is longer than `clip` by itself (`clip_gradients` of DINO's utils.py). */
export function clipEach(gradients: Gradients, clip: number): void {
  for (const parts of Map.groupBy(gradients.tensors, ([name]) => wholeOf(name)).values()) {
    const factor = tf.tidy(() => {
      const squares = tf.addN(parts.map(([, gradient]) => tf.sum(tf.square(gradient))));
      const length = tf.div(tf.sqrt(squares), gradients.scale);
      return tf.minimum(1, tf.div(clip, tf.add(length, 1e-6)));
    });
    for (const [name, gradient] of parts) {
      gradients.tensors.set(name, tf.mul(gradient, factor));
      gradient.dispose();
    }
    factor.dispose();
  }
}
