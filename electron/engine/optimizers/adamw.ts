import * as tf from '@tensorflow/tfjs-core';
import type { TensorSequence, TensorSource } from '../../../shared/tensors.ts';
import { adamW } from '../kernels/update.ts';
import type { ParameterSpec } from '../specs.ts';
import type { Gradients, Weights } from '../weights.ts';
import { type Optimizer, type RateOf, Slots, trained } from './optimizer.ts';

export interface AdamWSettings {
  betas: readonly [number, number];
  eps: number;
}

/** AdamW with decoupled weight decay (arXiv 1711.05101). */
export class AdamW implements Optimizer {
  count = 0;
  readonly #specs: readonly ParameterSpec[];
  readonly #settings: AdamWSettings;
  readonly #rate: RateOf;
  readonly #m: Slots;
  readonly #v: Slots;

  constructor({ betas, eps }: AdamWSettings, specs: readonly ParameterSpec[], rate: RateOf = () => 1) {
    this.#specs = trained(specs);
    this.#settings = { betas, eps };
    this.#rate = rate;
    this.#m = new Slots(this.#specs);
    this.#v = new Slots(this.#specs);
  }

  update(weights: Weights, gradients: Gradients, clip: number, lr: number, weightDecay: number): void {
    this.count++;
    const { betas, eps } = this.#settings;
    const [b1, b2] = betas;
    const due = this.#specs.filter(({ frozenFor = 0 }) => this.count > frozenFor);
    const updates = due.map(({ name, shape, decay, frozenFor = 0 }) => {
      const rate = lr * this.#rate(name);
      // Of this parameter: the moments of one that was frozen begin when it is trained.
      const count = this.count - frozenFor;
      const numbers = {
        clip,
        keep: 1 - (decay ? rate * weightDecay : 0),
        betas,
        correction: 1 / Math.sqrt(1 - b2 ** count),
        eps,
        rate: rate / (1 - b1 ** count),
      };
      const gradient = gradients.tensors.get(name) ?? tf.zeros(shape);
      gradients.tensors.set(name, gradient);
      return { p: weights.get(name), m: this.#m.get(name), v: this.#v.get(name), gradient, numbers };
    });
    for (const [i, { p, m, v }] of (due.length > 0 ? adamW(updates) : []).entries()) {
      const { name } = due[i]!;
      weights.replace(name, p);
      this.#m.set(name, m);
      this.#v.set(name, v);
    }
    gradients.dispose();
  }

  tensors(): { exp_avg: TensorSequence; exp_avg_sq: TensorSequence } {
    return { exp_avg: this.#m.read(), exp_avg_sq: this.#v.read() };
  }

  restore(expAvg: TensorSource, expAvgSq: TensorSource, count: number): void {
    this.#m.restore(expAvg);
    this.#v.restore(expAvgSq);
    this.count = count;
  }

  dispose(): void {
    this.#m.dispose();
    this.#v.dispose();
  }
}
