import * as tf from '@tensorflow/tfjs-core';

import type { HostTensor, TensorSequence, TensorSource } from '../../shared/tensors.ts';
import { hostCopy } from './host.ts';
import type { Storage } from './kernels/device.ts';
import { type EncoderConfig, requireTensor } from './parameters.ts';
import type { BufferSpec, ParameterSpec } from './specs.ts';
import { withinPart } from './tape.ts';
import { Weights } from './weights.ts';

/** What a network is made of, under the published names. */
export interface NetworkSpec {
  /** Of its encoder. */
  model: EncoderConfig;
  parameters: readonly ParameterSpec[];
  /** State that no gradient reaches: BatchNorm's running statistics, fixed positions. */
  buffers: readonly BufferSpec[];
}

export interface NetworkOptions {
  /** How products are stored and computed; statistics, softmax, loss, weights and optimizer are in fp32 always. */
  storage?: Storage;
  /** Keep only each block's input, and compute the rest again on the way back: less memory, the same numbers. */
  recompute?: boolean;
}

/** Parameters and buffers of an encoder with its heads. It owns its tensors. Another may be made of it. */
export class Network implements TensorSource {
  readonly model: EncoderConfig;
  readonly weights: Weights;
  readonly recompute: boolean;
  readonly #buffers = new Map<string, tf.Tensor>();

  readonly #of: { whole: Network; prefix: string } | null;

  /**
   * @param of what this is a part of, for `part`
   * @throws AppError bad-file where a tensor is missing or of another shape
   */
  constructor(
    spec: NetworkSpec,
    state: TensorSource,
    { storage = 'fp32', recompute = false }: NetworkOptions = {},
    of: { whole: Network; prefix: string } | null = null,
  ) {
    this.model = spec.model;
    this.#of = of;
    this.weights = of ? of.whole.weights.part(of.prefix) : new Weights(spec.parameters, state, storage);
    this.recompute = recompute;
    for (const { name, shape } of spec.buffers) {
      this.#buffers.set(name, tf.tensor(requireTensor(state, name, shape).data, shape));
    }
  }

  /**
   * Computes with a network within this one: those tensors whose names begin with `prefix`, under the rest of it, and their
   * gradients go to the whole names. It is borrowed, and of no use afterwards.
   */
  part<R>(prefix: string, model: EncoderConfig, compute: (part: Network) => R): R {
    const spec = { model, parameters: [], buffers: [] };
    const { recompute } = this;
    const part = new Network(spec, { get: () => undefined }, { recompute }, { whole: this, prefix });
    return withinPart(prefix, () => compute(part));
  }

  get storage(): Storage {
    return this.weights.storage;
  }

  /** A buffer, or null; it stays this object's. */
  findBuffer(name: string): tf.Tensor | null {
    if (this.#of) return this.#of.whole.findBuffer(this.#of.prefix + name);
    return this.#buffers.get(name) ?? null;
  }

  /** A buffer; it stays this object's. */
  buffer(name: string): tf.Tensor {
    const found = this.findBuffer(name);
    if (!found) throw new RangeError(`no buffer "${name}"`);
    return found;
  }

  /** Puts what `change` makes of a buffer in its place. */
  updateBuffer(name: string, change: (old: tf.Tensor) => tf.Tensor): void {
    if (this.#of) {
      this.#of.whole.updateBuffer(this.#of.prefix + name, change);
      return;
    }
    const old = this.buffer(name);
    this.#buffers.set(
      name,
      tf.tidy(() => tf.keep(change(old))),
    );
    old.dispose();
  }

  *tensors(): TensorSequence {
    yield* this.weights.tensors();
    for (const [name, tensor] of this.#buffers) yield [name, { shape: tensor.shape, data: hostCopy(tensor) }];
  }

  get(name: string): HostTensor | undefined {
    const tensor = this.weights.find(name) ?? this.#buffers.get(name);
    return tensor && { shape: tensor.shape, data: hostCopy(tensor) };
  }

  dispose(): void {
    this.weights.dispose();
    tf.dispose([...this.#buffers.values()]);
  }
}
