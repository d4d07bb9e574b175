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

/** Shortens each gradient that is longer than `clip` by itself (`clip_gradients` of DINO's utils.py). */
export function clipEach(gradients: Gradients, clip: number): void {
  for (const [name, gradient] of gradients.tensors) {
    const short = tf.tidy(() => {
      const length = tf.div(tf.sqrt(tf.sum(tf.square(gradient))), gradients.scale);
      return tf.mul(gradient, tf.minimum(1, tf.div(clip, tf.add(length, 1e-6))));
    });
    gradient.dispose();
    gradients.tensors.set(name, short);
  }
}
