import type * as tf from '@tensorflow/tfjs-core';
import type { TensorPart } from '../../shared/checkpoint.ts';
import type { StateDict, TensorSequence, TensorSource } from '../../shared/tensors.ts';
import type { Storage } from './kernels/device.ts';
import { average } from './kernels/update.ts';
import { Network, type NetworkSpec } from './network.ts';
import { clipEach, clipFactor, gradientNorm } from './optimizers/clip.ts';
import { makeOptimizer, type OptimizerSettings } from './optimizers/index.ts';
import { type Optimizer, type RateOf, trained } from './optimizers/optimizer.ts';
import type { Rates } from './schedule.ts';
import { differentiate, type Value } from './tape.ts';
import { Gradients, type Weights } from './weights.ts';

/** The networks that a step sees: one that is trained, and where the method has one, its moving average. */
export interface Networks {
  student: Network;
  /** The student itself where the method has no other. */
  teacher: Network;
}

/** Shows a tensor of a step by name; it stays the step's. */
export type Show = (name: string, tensor: tf.Tensor) => void;

/** What a step measures beside its loss, by name; null where it could not. */
export type Figures = Record<string, number | null>;

/** A method, as the engine trains it. */
export interface Method<Config, Batch> {
  student(config: Config): NetworkSpec;
  /** Null for a method without a second network. */
  teacher(config: Config): NetworkSpec | null;
  /** Whether the teacher follows the student as it was before an update, and so before the step (MoCo), or as it is after. */
  followsBefore?: boolean;
  /** By what each parameter's learning rate is multiplied (layer-wise decay); by default 1. */
  rate?(config: Config): RateOf;
  /** The paper's page: from a micro-batch to its loss, a scalar. */
  step(
    networks: Networks,
    batch: Batch,
    config: Config,
    show: Show | null,
  ): { loss: Value<tf.Scalar>; figures: Figures };
}

export interface EngineOptions {
  /** How products are stored and computed; statistics, softmax, loss, weights and optimizer are in fp32 always. */
  precision?: Storage;
  /** Keep only each block's input, and compute the rest again on the way back: less memory, the same numbers. */
  recompute?: boolean;
}

/** The parts of a configuration that every method has. */
export interface TrainerConfig {
  optimizer: OptimizerSettings & {
    /** Largest global gradient norm; null for no clipping. */
    clip_grad: number | null;
    /** Whether `clip_grad` is for each tensor by itself (DINO's `clip_gradients`). */
    clip_each?: boolean;
  };
}

export interface StepOptions {
  /** Is shown tensors of the first micro-batch. */
  show?: Show;
  /** Called with the gradients before clipping; costs a copy of the model. */
  onGradients?: (gradients: StateDict) => void;
  /** The same after each was clipped by itself; never called where the global norm is clipped. */
  onClipped?: (gradients: StateDict) => void;
}

export interface StepResult<F extends Figures = Figures> {
  loss: number;
  /** Global norm before clipping. */
  grad_norm: number;
  figures: F;
}

export interface LossScaling {
  scale: number;
  stable: number;
}

/** What is needed to go on exactly where a training stopped. */
export interface EngineState {
  student: StateDict;
  teacher: StateDict;
  /** AdamW's means of gradients; the momentum of SGD and LARS. */
  exp_avg: StateDict;
  /** AdamW's means of squares; empty for SGD and LARS. */
  exp_avg_sq: StateDict;
  /** Updates that the optimizer has done. */
  updates: number;
}

/**
 * Trains the networks of a method: gradients over one or more micro-batches, clipping, optimizer, moving average, and the
 * scale of the loss. It owns its tensors; between calls their number does not change. Call `dispose` at the end.
 */
export class Trainer<Config extends TrainerConfig, Batch> {
  readonly config: Config;
  readonly precision: Storage;
  readonly #method: Method<Config, Batch>;
  readonly #student: Network;
  readonly #teacher: Network | null;
  readonly #optimizer: Optimizer;
  /** Of the loss, so that small gradients are not lost in fp16 (arXiv 1710.03740, section 3.2). */
  #lossScale: number;
  /** Updates since the scale was last changed. */
  #stable = 0;

  /**
   * @param student @param teacher full states under the published names; further names are ignored. Of the same source the
   * teacher is a copy of the student, and each tensor is asked for once.
   * @throws AppError bad-file where a tensor is missing or of another shape
   */
  constructor(
    method: Method<Config, Batch>,
    config: Config,
    student: TensorSource,
    teacher: TensorSource,
    { precision = 'fp32', recompute = false }: EngineOptions = {},
  ) {
    this.#method = method;
    this.config = config;
    this.precision = precision;
    this.#lossScale = precision === 'fp16' ? 2 ** 16 : 1;
    const options = { storage: precision, recompute };
    this.#student = new Network(method.student(config), student, options);
    const spec = method.teacher(config);
    this.#teacher = spec && new Network(spec, teacher === student ? this.#student : teacher, options);
    this.#optimizer = makeOptimizer(config.optimizer, this.#student.weights.specs, method.rate?.(config));
  }

  /** As a step sees them, and as they may be asked between steps; they stay this object's. */
  get networks(): Networks {
    return { student: this.#student, teacher: this.#teacher ?? this.#student };
  }

  /** One optimizer step over one or more micro-batches, whose gradients are averaged. */
  step(batches: readonly Batch[], rates: Rates, { show, onGradients, onClipped }: StepOptions = {}): StepResult {
    if (batches.length === 0) throw new RangeError('a step needs at least one micro-batch');
    const gradients = new Gradients(this.#student.weights.specs);
    gradients.scale = batches.length * this.#lossScale;
    if (this.#method.followsBefore) this.#follow(rates);
    const parts = batches.map((batch, i) =>
      differentiate(gradients, this.#lossScale, () =>
        this.#method.step(this.networks, batch, this.config, i === 0 ? (show ?? null) : null),
      ),
    );
    const loss = parts.reduce((sum, part) => sum + part.loss / batches.length, 0);
    if (onGradients) onGradients(gradients.state(trained(this.#student.weights.specs)));
    const grad_norm = this.#apply(gradients, rates, loss, onClipped);
    return { loss, grad_norm, figures: meanFigures(parts.map(({ figures }) => figures)) };
  }

  /** Clip, update, average; nothing is touched where loss or gradient are not finite. Disposes of the gradients. */
  #apply(gradients: Gradients, rates: Rates, loss: number, onClipped: StepOptions['onClipped']): number {
    const norm = gradientNorm(gradients);
    if (!Number.isFinite(norm) || !Number.isFinite(loss)) {
      gradients.dispose();
      return this.#overflow(norm, loss);
    }
    const { clip_grad, clip_each } = this.config.optimizer;
    if (clip_each && clip_grad !== null) {
      clipEach(gradients, clip_grad);
      onClipped?.(gradients.state(trained(this.#student.weights.specs)));
    }
    const clip = (clip_each ? 1 : clipFactor(norm, clip_grad)) / gradients.scale;
    this.#optimizer.update(this.#student.weights, gradients, clip, rates.lr, rates.weight_decay);
    if (!this.#method.followsBefore) this.#follow(rates);
    if (this.precision === 'fp16' && ++this.#stable === 2000) this.#rescale(2);
    return norm;
  }

  #follow({ momentum }: Rates): void {
    if (this.#teacher) follow(this.#teacher.weights, this.#student.weights, momentum);
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
    return {
      student: this.#student.tensors(),
      teacher: this.#teacher ? this.#teacher.tensors() : [][Symbol.iterator](),
      ...this.#optimizer.tensors(),
    };
  }

  /** The same at once: as much memory again as the networks and their moments have. */
  state(): EngineState {
    const { student, teacher, exp_avg, exp_avg_sq } = this.tensors();
    const read = (tensors: TensorSequence): StateDict => new Map(tensors);
    return {
      student: read(student),
      teacher: read(teacher),
      exp_avg: read(exp_avg),
      exp_avg_sq: read(exp_avg_sq),
      updates: this.updates,
    };
  }

  /** Continues an optimizer from stored moments. */
  restoreOptimizer(expAvg: TensorSource, expAvgSq: TensorSource, updates: number): void {
    this.#optimizer.restore(expAvg, expAvgSq, updates);
  }

  dispose(): void {
    this.#student.dispose();
    this.#teacher?.dispose();
    this.#optimizer.dispose();
  }
}

/** teacher = m teacher + (1 - m) student, for every tensor that both train. */
function follow(teacher: Weights, student: Weights, m: number): void {
  const names = teacher.specs.map(({ name }) => name);
  const all = (weights: Weights) => names.map((name) => weights.get(name));
  for (const [i, tensor] of average(all(teacher), all(student), m).entries()) teacher.replace(names[i]!, tensor);
}

/** Of each figure the mean over the micro-batches that have it. */
function meanFigures(parts: readonly Figures[]): Figures {
  return Object.fromEntries(
    Object.keys(parts[0]!).map((key) => {
      const known = parts.map((part) => part[key]).filter((value) => typeof value === 'number');
      return [key, known.length > 0 ? known.reduce((a, b) => a + b / known.length, 0) : null];
    }),
  );
}
