import * as tf from '@tensorflow/tfjs-core';
import type { StateDict, TensorSequence, TensorSource } from '../../shared/tensors.ts';
import { hostCopy } from './host.ts';
import { isCompiled, type Storage, storageOf, store } from './kernels/device.ts';
import { reshape } from './kernels/matrices.ts';
import { ownTensor } from './kernels/memory.ts';
import { requireTensor, sizeOf } from './parameters.ts';
import type { ParameterSpec } from './specs.ts';

/** Named tensors of one network, in the published layouts and in floats, and its matrices as products want them. */
export class Weights {
  readonly specs: readonly ParameterSpec[];
  readonly storage: Storage;
  readonly #tensors: Map<string, tf.Tensor>;
  readonly #matrices: Map<string, tf.Tensor2D>;
  /** Before the names of a part. */
  readonly #prefix: string;

  /**
   * @param storage of the matrices
   * @param of what these are a part of: they borrow its tensors, and `state` is not asked for any
   * @throws AppError bad-file where a tensor is missing or of another shape
   */
  constructor(
    specs: readonly ParameterSpec[],
    state: TensorSource,
    storage: Storage = 'fp32',
    of: { whole: Weights; prefix: string } | null = null,
  ) {
    this.specs = specs;
    this.storage = storage;
    this.#tensors = of ? of.whole.#tensors : new Map();
    this.#matrices = of ? of.whole.#matrices : new Map();
    this.#prefix = of ? of.whole.#prefix + of.prefix : '';
    if (of) return;
    try {
      for (const { name, shape } of specs)
        this.#tensors.set(name, ownTensor(requireTensor(state, name, shape).data, shape));
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Those whose names begin with `prefix`, under the rest of it; they stay this object's. */
  part(prefix: string): Weights {
    const own = this.specs.filter(({ name }) => name.startsWith(prefix));
    const specs = own.map((spec) => ({ ...spec, name: spec.name.slice(prefix.length) }));
    return new Weights(specs, { get: () => undefined }, this.storage, { whole: this, prefix });
  }

  has(name: string): boolean {
    return this.#tensors.has(this.#prefix + name);
  }

  /** A tensor in floats; it stays this object's. */
  get(name: string): tf.Tensor {
    const tensor = this.#tensors.get(this.#prefix + name);
    if (!tensor) throw new RangeError(`no parameter "${name}"`);
    return tensor;
  }

  find(name: string): tf.Tensor | null {
    return this.#tensors.get(this.#prefix + name) ?? null;
  }

  /**
   * A weight as `[out, in]`, as products want it: in their storage, or in floats where products round it themselves. It
   * stays this object's.
   */
  matrix(name: string): tf.Tensor2D {
    let matrix = this.#matrices.get(this.#prefix + name);
    if (!matrix) {
      const tensor = this.get(name);
      const out = tensor.shape[0]!;
      const storage = isCompiled(this.storage) ? 'fp32' : this.storage;
      // Kept beyond the tidy that may be around this call.
      matrix = tf.tidy(() =>
        tf.keep(store(reshape<tf.Tensor2D>(tensor, [out, tensor.size / out]), storage) as tf.Tensor2D),
      );
      this.#matrices.set(this.#prefix + name, matrix);
    }
    return matrix;
  }

  /**
   * Puts a tensor in the place of another, which the caller has disposed of; or says that one was written into. A matrix
   * that shares its tensor's memory is then up to date.
   */
  replace(name: string, tensor: tf.Tensor): void {
    const key = this.#prefix + name;
    const matrix = this.#matrices.get(key);
    const isSame = this.#tensors.get(key) === tensor;
    this.#tensors.set(key, tensor);
    if (!matrix || (isSame && storageOf(matrix) === 'fp32')) return;
    matrix.dispose();
    this.#matrices.delete(key);
  }

  *tensors(): TensorSequence {
    for (const { name, shape } of this.specs) yield [name, { shape, data: hostCopy(this.get(name)) }];
  }

  dispose(): void {
    tf.dispose([...this.#tensors.values(), ...this.#matrices.values()]);
  }
}

/** Gradients by the names of the parameters. It owns what is added. */
export class Gradients {
  readonly tensors = new Map<string, tf.Tensor>();
  /** What they are multiplied by beside what they should be: the scale of the loss, the number of micro-batches. */
  scale = 1;
  readonly #unwanted: ReadonlySet<string>;

  /** @param specs of the parameters; a gradient of one that is never trained is disposed of */
  constructor(specs: readonly ParameterSpec[] = []) {
    this.#unwanted = new Set(specs.filter(({ frozenFor = 0 }) => frozenFor === Infinity).map(({ name }) => name));
  }

  /** Whether a gradient of this parameter changes anything. */
  wants(name: string): boolean {
    return !this.#unwanted.has(name);
  }

  add(name: string, gradient: tf.Tensor): void {
    if (!this.wants(name)) {
      gradient.dispose();
      return;
    }
    const before = this.tensors.get(name);
    this.tensors.set(name, before ? tf.add(before, gradient) : gradient);
    if (before) tf.dispose([before, gradient]);
  }

  /** The same for the parameters of a part: names are those behind `prefix`. */
  under(prefix: string): Gradients {
    return prefix === '' ? this : new PartGradients(this, prefix);
  }

  /** As named tensors, of these specs; where no gradient reaches, zeros. */
  state(specs: readonly ParameterSpec[]): StateDict {
    return new Map(
      specs.map(({ name, shape }) => {
        const found = this.tensors.get(name);
        const data = found ? hostCopy(found) : new Float32Array(sizeOf(shape));
        if (this.scale !== 1) for (let i = 0; i < data.length; i++) data[i]! /= this.scale;
        return [name, { shape, data }];
      }),
    );
  }

  dispose(): void {
    tf.dispose([...this.tensors.values()]);
    this.tensors.clear();
  }
}

/** What a part of a network adds to the gradients of the whole. */
class PartGradients extends Gradients {
  readonly #whole: Gradients;
  readonly #prefix: string;

  constructor(whole: Gradients, prefix: string) {
    super();
    this.#whole = whole;
    this.#prefix = prefix;
  }

  override wants(name: string): boolean {
    return this.#whole.wants(this.#prefix + name);
  }

  override add(name: string, gradient: tf.Tensor): void {
    this.#whole.add(this.#prefix + name, gradient);
  }
}
