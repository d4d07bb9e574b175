import * as tf from '@tensorflow/tfjs-core';
import type { RunConfig } from '../../shared/config.ts';
import { patchesOf } from '../../shared/config.ts';
import type { HostTensor, StateDict, TensorPart, TensorSequence, TensorSource } from '../../shared/domain.ts';
import { contrastLoss, type Lookup, lookup } from './contrast.ts';
import { hostCopy } from './host.ts';
import type { Storage } from './kernels/device.ts';
import { average } from './kernels/update.ts';
import { AdamW, clipFactor, gradientNorm } from './optimizer.ts';
import { bufferSpecs, type ParameterSpec, parameterSpecs, requireTensor } from './parameters.ts';
import { type NormMode, project, projectBackward } from './projector.ts';
import type { Rates } from './schedule.ts';
import { encode, encodeBackward } from './vit.ts';
import { Gradients, Weights } from './weights.ts';

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

/** One of the two networks: its parameters, and BatchNorm's running statistics. Another may be made of it. */
class Network implements TensorSource {
  readonly weights: Weights;
  readonly buffers = new Map<string, tf.Tensor>();
  readonly #momentum: number;

  constructor(specs: readonly ParameterSpec[], config: EngineConfig, state: TensorSource, storage: Storage) {
    this.weights = new Weights(specs, state, storage);
    for (const { name, shape } of bufferSpecs(config.projector)) {
      this.buffers.set(name, tf.tensor(requireTensor(state, name, shape).data, shape));
    }
    this.#momentum = config.projector.batch_norm_momentum;
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

  *tensors(): TensorSequence {
    yield* this.weights.tensors();
    for (const [name, tensor] of this.buffers) yield [name, { shape: tensor.shape, data: hostCopy(tensor) }];
  }

  get(name: string): HostTensor | undefined {
    const tensor = this.weights.find(name) ?? this.buffers.get(name);
    return tensor && { shape: tensor.shape, data: hostCopy(tensor) };
  }

  dispose(): void {
    this.weights.dispose();
    tf.dispose([...this.buffers.values()]);
  }
}

export interface EngineOptions {
  /** How products are stored and computed; statistics, softmax, loss, weights and optimizer are in fp32 always. */
  precision?: Storage;
  /** Keep only each block's input, and compute the rest again on the way back: less memory, the same numbers. */
  recompute?: boolean;
}

export interface LossScaling {
  scale: number;
  stable: number;
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
  readonly precision: Storage;
  readonly #recompute: boolean;
  readonly #specs: readonly ParameterSpec[];
  readonly #student: Network;
  readonly #teacher: Network;
  readonly #optimizer: AdamW;
  /** Of the loss, so that small gradients are not lost in fp16 (arXiv 1710.03740, section 3.2). */
  #lossScale: number;
  /** Updates since the scale was last changed. */
  #stable = 0;

  /**
   * @param student @param teacher full states under the published names; further names are ignored. Of the same source the
   * teacher is a copy of the student, and each tensor is asked for once.
   * @throws AppError bad-file where a tensor is missing or of another shape
   */
  constructor(config: EngineConfig, student: TensorSource, teacher: TensorSource, options: EngineOptions = {}) {
    this.config = config;
    this.precision = options.precision ?? 'fp32';
    this.#recompute = options.recompute ?? false;
    this.#lossScale = this.precision === 'fp16' ? 2 ** 16 : 1;
    this.#specs = parameterSpecs(config.model, config.projector);
    this.#student = new Network(this.#specs, config, student, this.precision);
    const ofTeacher = teacher === student ? this.#student : teacher;
    this.#teacher = new Network(this.#specs, config, ofTeacher, this.precision);
    this.#optimizer = new AdamW(config.optimizer, this.#specs);
  }

  /** One optimizer step over one or more micro-batches, whose gradients are averaged. */
  step(batches: readonly MicroBatch[], rates: Rates, options: StepOptions = {}): StepResult {
    if (batches.length === 0) throw new RangeError('a step needs at least one micro-batch');
    const total = { loss: 0, top1: 0, top5: 0, control: 0, controls: 0 };
    const gradients = new Gradients();
    gradients.scale = batches.length * this.#lossScale;
    for (const [i, batch] of batches.entries()) {
      const part = this.#backward(batch, gradients, i === 0 ? options.onFeatures : undefined);
      total.loss += part.loss / batches.length;
      total.top1 += part.top1 / batches.length;
      total.top5 += part.top5 / batches.length;
      if (part.top1_control !== null) {
        total.control += part.top1_control;
        total.controls++;
      }
    }
    if (options.onGradients) options.onGradients(gradients.state(this.#specs));
    const grad_norm = this.#apply(gradients, rates, total.loss);
    return {
      loss: total.loss,
      grad_norm,
      top1: total.top1,
      top5: total.top5,
      top1_control: total.controls > 0 ? total.control / total.controls : null,
    };
  }

  /** Loss and look-ups of one micro-batch; its gradients are added. */
  #backward(batch: MicroBatch, gradients: Gradients, onFeatures?: (f: Features) => void): Lookup & { loss: number } {
    const { model, projector, contrast } = this.config;
    const [side, K] = [model.image_size, patchesOf(model)];
    const size = batch.mask.length / K;
    const images = (data: Float32Array) => tf.tensor4d(data, [size, side, side, 3]);
    const mask = tf.tensor2d(batch.mask, [size, K]);

    // The teacher sees the full image, on batch statistics, and no gradient reaches it.
    const full = images(batch.teacher);
    const teacher = this.#teacher;
    const { tokens: known } = encode(teacher.weights, model, full, null);
    full.dispose();
    const { features: keys } = project(teacher.weights, projector, known, teacher.training);

    const corrupted = images(batch.student);
    const student = this.#student;
    const encoded = encode(student.weights, model, corrupted, mask, { keep: this.#recompute ? 'inputs' : 'all' });
    corrupted.dispose();
    const projected = project(student.weights, projector, encoded.tokens, student.training, true);
    const queries = projected.features;
    const { loss, dqueries } = contrastLoss(queries, keys, mask, contrast, this.#lossScale);
    const found = lookup(queries, keys, mask, contrast);
    if (onFeatures) onFeatures({ queries: hostCopy(queries), keys: hostCopy(keys), out: projector.out });
    tf.dispose([queries, keys]);
    encodeBackward(encoded.tape!, projectBackward(projected.tape!, dqueries, gradients), gradients);
    const value = loss.dataSync()[0]!;
    tf.dispose([mask, loss]);
    return { ...found, loss: value };
  }

  /** Clip, update, average; nothing is touched where loss or gradient are not finite. Takes the gradients. */
  #apply(gradients: Gradients, rates: Rates, loss: number): number {
    const norm = gradientNorm(gradients);
    if (!Number.isFinite(norm) || !Number.isFinite(loss)) {
      gradients.dispose();
      return this.#overflow(norm, loss);
    }
    const clip = clipFactor(norm, this.config.optimizer.clip_grad) / gradients.scale;
    this.#optimizer.update(this.#student.weights, gradients, clip, rates.lr, rates.weight_decay);
    const m = this.config.momentum.schedule === 'none' ? 0 : rates.momentum;
    const [teacher, student] = [this.#teacher.weights, this.#student.weights];
    const all = (weights: Weights) => this.#specs.map(({ name }) => weights.get(name));
    for (const [i, tensor] of average(all(teacher), all(student), m).entries())
      teacher.replace(this.#specs[i]!.name, tensor);
    if (this.precision === 'fp16' && ++this.#stable === 2000) this.#rescale(2);
    return norm;
  }

  /** In fp16 the scale may have been too large: the step is left out, the next is scaled by half (`torch.amp.GradScaler`). */
  #overflow(norm: number, loss: number): number {
    if (this.precision !== 'fp16' || !Number.isFinite(loss) || this.#lossScale <= 1) return norm;
    this.#rescale(0.5);
    return 0;
  }

  #rescale(factor: number): void {
    this.#lossScale *= factor;
    this.#stable = 0;
  }

  /** What of the loss's scale a resumption needs. */
  get scaling(): LossScaling {
    return { scale: this.#lossScale, stable: this.#stable };
  }

  set scaling({ scale, stable }: LossScaling) {
    this.#lossScale = scale;
    this.#stable = stable;
  }

  /** Updates that the optimizer has done. */
  get updates(): number {
    return this.#optimizer.count;
  }

  /** Everything that a resumption needs, a tensor at a time; nothing of it may be read after another step. */
  tensors(): Record<TensorPart, TensorSequence> {
    return { student: this.#student.tensors(), teacher: this.#teacher.tensors(), ...this.#optimizer.tensors() };
  }

  /** The same at once: as much memory again as the networks and their moments have. */
  state(): EngineState {
    const { student, teacher, exp_avg, exp_avg_sq } = this.tensors();
    const read = (tensors: TensorSequence): StateDict => new Map(tensors);
    return {
      ...{ student: read(student), teacher: read(teacher) },
      ...{ exp_avg: read(exp_avg), exp_avg_sq: read(exp_avg_sq) },
      updates: this.updates,
    };
  }

  /** Continues an optimizer from stored moments. */
  restoreOptimizer(expAvg: TensorSource, expAvgSq: TensorSource, updates: number): void {
    this.#optimizer.restore(expAvg, expAvgSq, updates);
  }

  dispose(): void {
    this.#student.dispose();
    this.#teacher.dispose();
    this.#optimizer.dispose();
  }
}
