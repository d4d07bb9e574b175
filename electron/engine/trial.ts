import * as tf from '@tensorflow/tfjs-core';
import { isTensorFlow, type Storage, store } from './kernels/device.ts';
import { matMul } from './kernels/matrices.ts';

/** Side of the matrices, about those of a ViT-S on a few images. */
const SIDE = 1024;

/**
 * Time of one product of matrices: the best of three after one to warm up.
 * @returns milliseconds, or null where this backend or device has no such product
 */
export function timeProducts(storage: Storage): number | null {
  if (storage !== 'fp32' && !isTensorFlow()) return null;
  try {
    return tf.tidy(() => {
      const a = store(tf.randomUniform([SIDE, SIDE], -1, 1), storage) as tf.Tensor2D;
      const times = Array.from({ length: 4 }, () => {
        const began = performance.now();
        // Reading one value waits for a device that computes in its own time.
        store(
          tf.tidy(() => matMul(a, a)),
          'fp32',
        ).dataSync();
        return performance.now() - began;
      });
      return Math.min(...times.slice(1));
    });
  } catch {
    return null;
  }
}
