import * as tf from '@tensorflow/tfjs-core';
import type { TensorSequence, TensorSource } from '../../../shared/tensors.ts';
import { hostCopy } from '../host.ts';
import { ownTensor, ownZeros } from '../kernels/memory.ts';
import { requireTensor } from '../parameters.ts';
import type { ParameterSpec } from '../specs.ts';
import type { Gradients, Weights } from '../weights.ts';

/** Changes named parameters by their gradients, and keeps what it needs from one update to the next. */
export interface Optimizer {
  /** Updates done. */
  readonly count: number;
  /**
   * One update of all parameters. Disposes of the gradients; where there is none it is zero.
   * @param clip factor of the gradients
   */
  update(weights: Weights, gradients: Gradients, clip: number, lr: number, weightDecay: number): void;
  /**
   * What it keeps, a tensor at a time: running means of gradients, or their momentum, as `exp_avg`, and means of squares
   * as `exp_avg_sq`, which is empty for an optimizer that has none.
   */
  tensors(): { exp_avg: TensorSequence; exp_avg_sq: TensorSequence };
  /** Continues from what was stored. @throws AppError bad-file where a tensor is missing or of another shape */
  restore(expAvg: TensorSource, expAvgSq: TensorSource, count: number): void;
  dispose(): void;
}

/** By what a parameter's learning rate is multiplied. */
export type RateOf = (name: string) => number;

/** Parameters that some update changes. */
export const trained = (specs: readonly ParameterSpec[]): readonly ParameterSpec[] =>
  specs.filter(({ frozenFor = 0 }) => Number.isFinite(frozenFor));

/** A tensor for each parameter, zero at first. It owns them. */
export class Slots {
  readonly #specs: readonly ParameterSpec[];
  readonly #tensors: Map<string, tf.Tensor>;

  constructor(specs: readonly ParameterSpec[]) {
    this.#specs = specs;
    this.#tensors = new Map(specs.map(({ name, shape }) => [name, ownZeros(shape)]));
  }

  get(name: string): tf.Tensor {
    return this.#tensors.get(name)!;
  }

  /** Puts a tensor in the place of another, which is disposed of already; or the same, which was written to. */
  set(name: string, tensor: tf.Tensor): void {
    this.#tensors.set(name, tensor);
  }

  *read(): TensorSequence {
    for (const { name, shape } of this.#specs) yield [name, { shape, data: hostCopy(this.get(name)) }];
  }

  /** @throws AppError bad-file where a tensor is missing or of another shape */
  restore(state: TensorSource): void {
    for (const { name, shape } of this.#specs) {
      const { data } = requireTensor(state, name, shape);
      this.get(name).dispose();
      this.set(name, ownTensor(data, shape));
    }
  }

  dispose(): void {
    tf.dispose([...this.#tensors.values()]);
  }
}
