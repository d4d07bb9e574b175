import * as tf from '@tensorflow/tfjs-core';
import type { ParameterSpec } from '../specs.ts';
import { type MomentumInputs, MomentumOptimizer } from './momentum.ts';
import type { RateOf } from './optimizer.ts';

export interface SGDSettings {
  momentum: number;
}

/**
 * Gradient descent with momentum and coupled weight decay, as `torch.optim.SGD` computes it:
 * v = momentum v + (g + decay p), p = p - lr v.
 */
export class SGD extends MomentumOptimizer {
  readonly #momentum: number;

  constructor({ momentum }: SGDSettings, specs: readonly ParameterSpec[], rate?: RateOf) {
    super(specs, rate);
    this.#momentum = momentum;
  }

  protected move({ p, g, velocity, lr, decay }: MomentumInputs): { velocity: tf.Tensor; step: tf.Tensor } {
    const next = tf.add(tf.mul(velocity, this.#momentum), tf.add(g, tf.mul(p, decay)));
    return { velocity: next, step: tf.mul(next, lr) };
  }
}
