import * as tf from '@tensorflow/tfjs-core';
import type { OptimizerConfig } from '../../shared/config.ts';
import type { TensorSequence, TensorSource } from '../../shared/domain.ts';
import { hostCopy } from './host.ts';
import { ownTensor, ownZeros } from './kernels/memory.ts';
import { sumSquares } from './kernels/sums.ts';
import { adamW } from './kernels/update.ts';
import { type ParameterSpec, requireTensor } from './parameters.ts';
import type { Gradients, Weights } from './weights.ts';

/** AdamW with decoupled weight decay (arXiv 1711.05101) on named parameters, one after the other. */
export class AdamW {
  /** Updates done. */
  count = 0;
  readonly #specs: readonly ParameterSpec[];
  readonly #betas: readonly [number, number];
  readonly #eps: number;
  readonly #rateScale: (name: string) => number;
  readonly #m = new Map<string, tf.Tensor>();
  readonly #v = new Map<string, tf.Tensor>();

  /** @param rateScale factor of a parameter's learning rate */
  constructor(
    config: Pick<OptimizerConfig, 'betas' | 'eps'>,
    specs: readonly ParameterSpec[],
    rateScale: (name: string) => number = () => 1,
  ) {
    this.#specs = specs;
    this.#betas = config.betas;
    this.#eps = config.eps;
    this.#rateScale = rateScale;
    for (const { name, shape } of specs) {
      this.#m.set(name, ownZeros(shape));
      this.#v.set(name, ownZeros(shape));
    }
  }

  /**
   * One update of all parameters. Gradients are taken; where there is none it is zero.
   * @param clip factor of the gradients
   */
  update(weights: Weights, gradients: Gradients, clip: number, lr: number, weightDecay: number): void {
    this.count++;
    const [b1, b2] = this.#betas;
    const correction = 1 / Math.sqrt(1 - b2 ** this.count);
    const updates = this.#specs.map(({ name, shape, decay }) => {
      const rate = lr * this.#rateScale(name);
      const numbers = {
        clip,
        keep: 1 - (decay ? rate * weightDecay : 0),
        betas: this.#betas,
        correction,
        eps: this.#eps,
        rate: rate / (1 - b1 ** this.count),
      };
      const gradient = gradients.tensors.get(name) ?? tf.zeros(shape);
      gradients.tensors.set(name, gradient);
      return { p: weights.get(name), m: this.#m.get(name)!, v: this.#v.get(name)!, gradient, numbers };
    });
    for (const [i, { p, m, v }] of adamW(updates).entries()) {
      const { name } = this.#specs[i]!;
      weights.replace(name, p);
      this.#m.set(name, m);
      this.#v.set(name, v);
    }
    gradients.dispose();
  }

  tensors(): { exp_avg: TensorSequence; exp_avg_sq: TensorSequence } {
    return { exp_avg: this.#read(this.#m), exp_avg_sq: this.#read(this.#v) };
  }

  *#read(moments: ReadonlyMap<string, tf.Tensor>): TensorSequence {
    for (const { name, shape } of this.#specs) yield [name, { shape, data: hostCopy(moments.get(name)!) }];
  }

  /** Continues from stored moments. @throws AppError bad-file where one is missing or of another shape */
  restore(expAvg: TensorSource, expAvgSq: TensorSource, count: number): void {
    for (const [tensors, state] of [
      [this.#m, expAvg],
      [this.#v, expAvgSq],
    ] as const) {
      for (const { name, shape } of this.#specs) {
        const { data } = requireTensor(state, name, shape);
        tensors.get(name)!.dispose();
        tensors.set(name, ownTensor(data, shape));
      }
    }
    this.count = count;
  }

  dispose(): void {
    tf.dispose([...this.#m.values(), ...this.#v.values()]);
  }
}

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
