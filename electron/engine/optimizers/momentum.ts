import * as tf from '@tensorflow/tfjs-core';
import type { TensorSequence, TensorSource } from '../../../shared/tensors.ts';
import type { ParameterSpec } from '../specs.ts';
import type { Gradients, Weights } from '../weights.ts';
import { type Optimizer, type RateOf, Slots, trained } from './optimizer.ts';

/** One parameter and what it is changed by. */
export interface MomentumInputs {
  p: tf.Tensor;
  /** Its gradient, clipped. */
  g: tf.Tensor;
  velocity: tf.Tensor;
  lr: number;
  /** Weight decay of this parameter. */
  decay: number;
}

/** An optimizer that keeps one velocity a parameter, stored as `exp_avg`; `exp_avg_sq` is empty. */
export abstract class MomentumOptimizer implements Optimizer {
  count = 0;
  readonly #specs: readonly ParameterSpec[];
  readonly #rate: RateOf;
  readonly #velocity: Slots;

  constructor(specs: readonly ParameterSpec[], rate: RateOf = () => 1) {
    this.#specs = trained(specs);
    this.#rate = rate;
    this.#velocity = new Slots(this.#specs);
  }

  /** The next velocity, and what is taken from the parameter; within a tidy. */
  protected abstract move(inputs: MomentumInputs, spec: ParameterSpec): { velocity: tf.Tensor; step: tf.Tensor };

  update(weights: Weights, gradients: Gradients, clip: number, lr: number, weightDecay: number): void {
    this.count++;
    for (const spec of this.#specs) {
      const { name, decay, frozenFor = 0 } = spec;
      if (this.count <= frozenFor) continue;
      const [p, velocity] = [weights.get(name), this.#velocity.get(name)];
      const [nextP, nextVelocity] = tf.tidy(() => {
        const g = tf.mul(gradients.tensors.get(name) ?? tf.zerosLike(p), clip);
        const moved = this.move({ p, g, velocity, lr: lr * this.#rate(name), decay: decay ? weightDecay : 0 }, spec);
        return [tf.sub(p, moved.step), moved.velocity];
      }) as [tf.Tensor, tf.Tensor];
      tf.dispose([p, velocity]);
      weights.replace(name, nextP);
      this.#velocity.set(name, nextVelocity);
    }
    gradients.dispose();
  }

  tensors(): { exp_avg: TensorSequence; exp_avg_sq: TensorSequence } {
    return { exp_avg: this.#velocity.read(), exp_avg_sq: [][Symbol.iterator]() };
  }

  restore(expAvg: TensorSource, _expAvgSq: TensorSource, count: number): void {
    this.#velocity.restore(expAvg);
    this.count = count;
  }

  dispose(): void {
    this.#velocity.dispose();
  }
}
