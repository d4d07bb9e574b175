import * as tf from '@tensorflow/tfjs-core';
import type { ParameterSpec } from '../specs.ts';
import { type MomentumInputs, MomentumOptimizer } from './momentum.ts';
import type { RateOf } from './optimizer.ts';

export interface LARSSettings {
  momentum: number;
  /** Of a parameter's length, what a step may move it by at a learning rate of one (`eeta`). */
  trust: number;
}

/**
 * Layer-wise adaptive rates (arXiv 1708.03888, algorithm 1), in the form of SimCLR's code (lars_optimizer.py):
 * g = g + decay p, v = momentum v + lr trust |p| / |g| g, p = p - v. The paper divides by |gradient| + decay |p|, this form
 * by the length of the sum. Parameters without weight decay (biases, scales of norms) move at the plain rate; so does one
 * whose length, or whose gradient's, is zero.
 */
export class LARS extends MomentumOptimizer {
  readonly #settings: LARSSettings;

  constructor({ momentum, trust }: LARSSettings, specs: readonly ParameterSpec[], rate?: RateOf) {
    super(specs, rate);
    this.#settings = { momentum, trust };
  }

  protected move(
    { p, g, velocity, lr, decay }: MomentumInputs,
    spec: ParameterSpec,
  ): { velocity: tf.Tensor; step: tf.Tensor } {
    const { momentum, trust } = this.#settings;
    const pulled = tf.add(g, tf.mul(p, decay));
    const ratio = spec.decay ? trustRatio(p, pulled, trust) : 1;
    const next = tf.add(tf.mul(velocity, momentum), tf.mul(pulled, tf.mul(ratio, lr)));
    return { velocity: next, step: next };
  }
}

const lengthOf = (x: tf.Tensor) => tf.sqrt(tf.sum(tf.square(x)));

/** trust |p| / |g|, a scalar; 1 where either is zero. */
function trustRatio(p: tf.Tensor, g: tf.Tensor, trust: number): tf.Tensor {
  const [ofP, ofG] = [lengthOf(p), lengthOf(g)];
  const isUsual = tf.greater(tf.mul(ofP, ofG), 0);
  return tf.where(isUsual, tf.div(tf.mul(ofP, trust), ofG), tf.onesLike(ofP));
}
