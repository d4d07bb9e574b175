import * as tf from '@tensorflow/tfjs-core';
import type { OptimizerConfig } from '../../shared/config.ts';

/**
 * AdamW with decoupled weight decay (arXiv 1711.05101, algorithm 2; the arithmetic of `torch.optim.AdamW`) on one
 * vector of all parameters.
 */
export class AdamW {
  readonly decayMask: tf.Tensor1D;
  expAvg: tf.Tensor1D;
  expAvgSq: tf.Tensor1D;
  /** Updates done. */
  count: number;
  readonly #betas: readonly [number, number];
  readonly #eps: number;

  constructor(config: Pick<OptimizerConfig, 'betas' | 'eps'>, decayMask: tf.Tensor1D) {
    this.#betas = config.betas;
    this.#eps = config.eps;
    this.decayMask = decayMask;
    this.expAvg = tf.zerosLike(decayMask);
    this.expAvgSq = tf.zerosLike(decayMask);
    this.count = 0;
  }

  /** The parameters after one update. The moments are replaced, the arguments are left to the caller. */
  update(parameters: tf.Tensor1D, gradient: tf.Tensor1D, lr: number, weightDecay: number): tf.Tensor1D {
    this.count++;
    const [b1, b2] = this.#betas;
    const [c1, c2] = [1 - b1 ** this.count, 1 - b2 ** this.count];
    const [next, expAvg, expAvgSq] = tf.tidy(() => {
      const m = tf.add(tf.mul(this.expAvg, b1), tf.mul(gradient, 1 - b1)) as tf.Tensor1D;
      const v = tf.add(tf.mul(this.expAvgSq, b2), tf.mul(tf.square(gradient), 1 - b2)) as tf.Tensor1D;
      const denominator = tf.add(tf.div(tf.sqrt(v), Math.sqrt(c2)), this.#eps);
      const decayed = tf.mul(parameters, tf.sub(1, tf.mul(this.decayMask, lr * weightDecay)));
      const moved = tf.sub(decayed, tf.mul(tf.div(m, denominator), lr / c1)) as tf.Tensor1D;
      return [moved, m, v];
    });
    this.setMoments(expAvg!, expAvgSq!);
    return next!;
  }

  /** Takes ownership of both. */
  setMoments(expAvg: tf.Tensor1D, expAvgSq: tf.Tensor1D): void {
    tf.dispose([this.expAvg, this.expAvgSq]);
    this.expAvg = expAvg;
    this.expAvgSq = expAvgSq;
  }

  dispose(): void {
    tf.dispose([this.decayMask, this.expAvg, this.expAvgSq]);
  }
}

/** The factor of `torch.nn.utils.clip_grad_norm_`. */
export const clipFactor = (norm: number, clip: number | null) =>
  clip === null ? 1 : Math.min(1, clip / (norm + 1e-6));
