import * as tf from '@tensorflow/tfjs-core';
import type { RunConfig } from '../../shared/config.ts';
import { patchesOf } from '../../shared/config.ts';
import type { StateDict } from '../../shared/domain.ts';
import { contrastLoss, type Lookup, lookup } from './contrast.ts';
import { hostCopy } from './host.ts';
import { AdamW, clipFactor } from './optimizer.ts';
import { bufferSpecs, FlatLayout, parameterSpecs, requireTensor } from './parameters.ts';
import { type NormMode, project } from './projector.ts';
import type { Rates } from './schedule.ts';
import { encode } from './vit.ts';

/** The parts of a configuration that the arithmetic needs. */
export type EngineConfig = Pick<RunConfig, 'model' | 'projector' | 'contrast' | 'momentum' | 'optimizer'>;

/** Images as a loader gives them; plain arrays, so that they may come from another thread. */
export interface MicroBatch {
  /** `[batch, side, side, 3]`, normalised. */
  student: Float32Array;
  teacher: Float32Array;
  /** `[batch, K]`, 1 = masked. */
  mask: Float32Array;
}

export interface StepResult extends Lookup {
  loss: number;
  /** Global norm before clipping. */
  grad_norm: number;
}

/** L2-normalised features of a batch, `[batch * K, out]` each. */
export interface Features {
  queries: Float32Array;
  keys: Float32Array;
  out: number;
}

export interface StepOptions {
  /** Called with the features of the first micro-batch. */
  onFeatures?: (features: Features) => void;
  /** Called with the gradients before clipping; costs a copy of the model. */
  onGradients?: (gradients: StateDict) => void;
}

/** One of the two networks: its parameters as a vector, and BatchNorm's running statistics. */
class Network {
  readonly layout: FlatLayout;
  flat: tf.Tensor1D;
  parameters: Map<string, tf.Tensor>;
  readonly buffers = new Map<string, tf.Tensor>();
  readonly #momentum: number;

  constructor(layout: FlatLayout, config: EngineConfig, state: StateDict) {
    this.layout = layout;
    this.flat = tf.tensor1d(layout.fromState(state));
    this.parameters = layout.unflatten(this.flat);
    for (const { name, shape } of bufferSpecs(config.projector)) {
      this.buffers.set(name, tf.tensor(requireTensor(state, name, shape).data, shape));
    }
    this.#momentum = config.projector.batch_norm_momentum;
  }

  /** Takes ownership of the vector. */
  replace(flat: tf.Tensor1D): void {
    const parameters = this.layout.unflatten(flat);
    tf.dispose([this.flat, ...this.parameters.values()]);
    this.flat = flat;
    this.parameters = parameters;
  }

  /** Batch statistics, with the running ones updated as PyTorch's BatchNorm1d does in training. */
  readonly training: NormMode = {
    kind: 'batch',
    observe: (name, mean, variance) => {
      const follow = (buffer: string, value: tf.Tensor) => {
        const old = this.buffers.get(buffer)!;
        const share = this.#momentum;
        this.buffers.set(
          buffer,
          tf.tidy(() => tf.keep(tf.add(tf.mul(old, 1 - share), tf.mul(value, share)))),
        );
        old.dispose();
      };
      follow(`${name}.running_mean`, mean);
      follow(`${name}.running_var`, variance);
      const count = `${name}.num_batches_tracked`;
      const old = this.buffers.get(count)!;
      this.buffers.set(
        count,
        tf.tidy(() => tf.keep(tf.add(old, 1))),
      );
      old.dispose();
    },
  };

  state(): StateDict {
    const state = this.layout.toState(hostCopy(this.flat));
    for (const [name, tensor] of this.buffers) state.set(name, { shape: tensor.shape, data: hostCopy(tensor) });
    return state;
  }

  dispose(): void {
    tf.dispose([this.flat, ...this.parameters.values(), ...this.buffers.values()]);
  }
}

/** What is needed to go on exactly where a training stopped. */
export interface EngineState {
  student: StateDict;
  teacher: StateDict;
  exp_avg: StateDict;
  exp_avg_sq: StateDict;
  /** Updates that the optimizer has done. */
  updates: number;
}

/**
 * Student, momentum teacher and optimizer: the arithmetic of one training step
 * (arXiv 2205.09616, section 3; `train_one_epoch` of engine_for_pretraining.py).
 *
 * The instance owns its tensors; between calls their number does not change. Call `dispose` at the end.
 */
export class ConMIM {
  readonly config: EngineConfig;
  readonly layout: FlatLayout;
  readonly #student: Network;
  readonly #teacher: Network;
  readonly #optimizer: AdamW;

  /**
   * @param student @param teacher full states under the published names; further names are ignored
   * @throws AppError bad-file where a tensor is missing or of another shape
   */
  constructor(config: EngineConfig, student: StateDict, teacher: StateDict) {
    this.config = config;
    this.layout = new FlatLayout(parameterSpecs(config.model, config.projector));
    this.#student = new Network(this.layout, config, student);
    this.#teacher = new Network(this.layout, config, teacher);
    this.#optimizer = new AdamW(config.optimizer, this.layout.decayMask());
  }

  /** One optimizer step over one or more micro-batches, whose gradients are averaged. */
  step(batches: readonly MicroBatch[], rates: Rates, options: StepOptions = {}): StepResult {
    const total = { loss: 0, top1: 0, top5: 0, control: 0, controls: 0 };
    let gradient: tf.Tensor1D | null = null;
    for (const [i, batch] of batches.entries()) {
      const part = this.#gradient(batch, i === 0 ? options.onFeatures : undefined);
      total.loss += part.loss / batches.length;
      total.top1 += part.top1 / batches.length;
      total.top5 += part.top5 / batches.length;
      if (part.top1_control !== null) {
        total.control += part.top1_control;
        total.controls++;
      }
      const sum: tf.Tensor1D | null = gradient;
      gradient = sum ? tf.add(sum, part.gradient) : part.gradient;
      if (sum) tf.dispose([sum, part.gradient]);
    }
    if (!gradient) throw new RangeError('a step needs at least one micro-batch');
    if (batches.length > 1) {
      const sum = gradient;
      gradient = tf.mul(sum, 1 / batches.length);
      sum.dispose();
    }
    if (options.onGradients) options.onGradients(this.layout.toState(hostCopy(gradient)));
    const grad_norm = this.#apply(gradient, rates, total.loss);
    return {
      loss: total.loss,
      grad_norm,
      top1: total.top1,
      top5: total.top5,
      top1_control: total.controls > 0 ? total.control / total.controls : null,
    };
  }

  /** Loss, look-ups and gradient `[parameters]` of one micro-batch. */
  #gradient(batch: MicroBatch, onFeatures?: (f: Features) => void): Lookup & { loss: number; gradient: tf.Tensor1D } {
    const { model, projector, contrast } = this.config;
    const [side, K] = [model.image_size, patchesOf(model)];
    const size = batch.mask.length / K;
    const images = (data: Float32Array) => tf.tensor4d(data, [size, side, side, 3]);
    const mask = tf.tensor2d(batch.mask, [size, K]);

    // The teacher sees the full image, on batch statistics, and no gradient reaches it.
    const keys = tf.tidy(() =>
      project(
        this.#teacher.parameters,
        projector,
        encode(this.#teacher.parameters, model, images(batch.teacher), null),
        this.#teacher.training,
      ),
    );

    const names = this.layout.specs.map((s) => s.name);
    const input = images(batch.student);
    let queries: tf.Tensor3D | undefined;
    const forward = (...tensors: tf.Tensor[]) => {
      const p = new Map(names.map((name, i) => [name, tensors[i]!]));
      queries = tf.keep(project(p, projector, encode(p, model, input, mask), this.#student.training));
      return contrastLoss(queries, keys, mask, contrast);
    };
    const values = names.map((name) => this.#student.parameters.get(name)!);
    const [loss, gradient] = tf.tidy(() => {
      const { value, grads } = tf.valueAndGrads(forward)(values);
      const flat = grads.map((g, i) => (g ? tf.reshape(g, [-1]) : tf.zeros([this.layout.sizes[i]!])));
      return [value, tf.concat(flat) as tf.Tensor1D];
    });
    const found = lookup(queries!, keys, mask, contrast);
    if (onFeatures) {
      onFeatures({ queries: hostCopy(queries!), keys: hostCopy(keys), out: projector.out });
    }
    const value = loss.dataSync()[0]!;
    tf.dispose([mask, keys, input, queries!, loss]);
    return { ...found, loss: value, gradient };
  }

  /** Clip, update, average; nothing is touched where loss or gradient are not finite. Disposes the gradient. */
  #apply(gradient: tf.Tensor1D, rates: Rates, loss: number): number {
    const norm = tf.tidy(() => tf.sqrt(tf.sum(tf.square(gradient))).dataSync()[0]!);
    if (!Number.isFinite(norm) || !Number.isFinite(loss)) {
      gradient.dispose();
      return norm;
    }
    const factor = clipFactor(norm, this.config.optimizer.clip_grad);
    const clipped: tf.Tensor1D = factor < 1 ? tf.mul(gradient, factor) : gradient.clone();
    gradient.dispose();
    this.#student.replace(this.#optimizer.update(this.#student.flat, clipped, rates.lr, rates.weight_decay));
    clipped.dispose();
    const m = this.config.momentum.schedule === 'none' ? 0 : rates.momentum;
    this.#teacher.replace(
      m === 0
        ? this.#student.flat.clone()
        : tf.tidy((): tf.Tensor1D => tf.add(tf.mul(this.#teacher.flat, m), tf.mul(this.#student.flat, 1 - m))),
    );
    return norm;
  }

  state(): EngineState {
    const moments = (t: tf.Tensor1D) => this.layout.toState(hostCopy(t));
    return {
      student: this.#student.state(),
      teacher: this.#teacher.state(),
      exp_avg: moments(this.#optimizer.expAvg),
      exp_avg_sq: moments(this.#optimizer.expAvgSq),
      updates: this.#optimizer.count,
    };
  }

  /** Continues an optimizer from stored moments. */
  restoreOptimizer(expAvg: StateDict, expAvgSq: StateDict, updates: number): void {
    this.#optimizer.setMoments(
      tf.tensor1d(this.layout.fromState(expAvg)),
      tf.tensor1d(this.layout.fromState(expAvgSq)),
    );
    this.#optimizer.count = updates;
  }

  dispose(): void {
    this.#student.dispose();
    this.#teacher.dispose();
    this.#optimizer.dispose();
  }
}
