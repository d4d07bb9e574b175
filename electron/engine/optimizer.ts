import * as tf from '@tensorflow/tfjs-core';
import type { OptimizerConfig } from '../../shared/config.ts';

/**
 * AdamW with decoupled weight decay (arXiv 1711.05101, algorithm 2; the arithmetic of `torch.optim.AdamW`) on one
 * vector of all parameters.
 */
export class AdamW {
  readonly decayMask: tf.Tensor1D;
  /** Factor of the learning rate, for each value; null for one rate. */
  readonly #rateScale: tf.Tensor1D | null;
  expAvg: tf.Tensor1D;
  expAvgSq: tf.Tensor1D;
  /** Updates done. */
  count: number;
  readonly #betas: readonly [number, number];
  readonly #eps: number;

  /** @param decayMask @param rateScale `[parameters]` each; owned by this from now on */
  constructor(
    config: Pick<OptimizerConfig, 'betas' | 'eps'>,
    decayMask: tf.Tensor1D,
    rateScale: tf.Tensor1D | null = null,
  ) {
    this.#rateScale = rateScale;
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
      const scaled = (x: tf.Tensor) => (this.#rateScale ? tf.mul(x, this.#rateScale) : x);
      const decayed = tf.mul(parameters, tf.sub(1, scaled(tf.mul(this.decayMask, lr * weightDecay))));
      const moved = tf.sub(decayed, scaled(tf.mul(tf.div(m, denominator), lr / c1))) as tf.Tensor1D;
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
    this.#rateScale?.dispose();
  }
}

/** The factor of `torch.nn.utils.clip_grad_norm_`. */
export const clipFactor = (norm: number, clip: number | null) =>
  clip === null ? 1 : Math.min(1, clip / (norm + 1e-6));
