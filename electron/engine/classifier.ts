import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig } from '../../shared/config.ts';
import type { StateDict, Uniform } from '../../shared/domain.ts';
import type { FineTuneSettings } from '../../shared/finetune.ts';
import { hostCopy } from './host.ts';
import { layerNorm } from './kernels/layer-norm.ts';
import { AdamW, clipFactor } from './optimizer.ts';
import { encoderSpecs, FlatLayout, initialTensor, type ParameterSpec, relativeTableShape } from './parameters.ts';
import { encode, linear, type Parameters } from './vit.ts';

export type ClassifierSettings = Pick<
  FineTuneSettings,
  'pooling' | 'drop_path' | 'layer_decay' | 'init_scale' | 'clip_grad'
>;

const SHARED_TABLE = 'rel_pos_bias.relative_position_bias_table';
const blockTable = (block: number) => `blocks.${block}.attn.relative_position_bias_table`;

/**
 * Every trained tensor of a classifier (`VisionTransformer` of modeling_finetune.py): the encoder without mask token,
 * a table of relative positions in each block, and in place of the last LayerNorm one of the pooled tokens, where the
 * mean is pooled.
 */
export function classifierSpecs(
  model: ModelConfig,
  classes: number,
  { pooling, init_scale }: Pick<ClassifierSettings, 'pooling' | 'init_scale'>,
): ParameterSpec[] {
  const dim = model.embed_dim;
  const constant = (name: string, value: number): ParameterSpec => ({
    name,
    shape: [dim],
    decay: false,
    init: { kind: 'constant', value },
  });
  const specs = encoderSpecs(model).filter(
    ({ name }) => name !== 'mask_token' && name !== SHARED_TABLE && !(pooling === 'mean' && name.startsWith('norm.')),
  );
  if (model.position === 'shared-relative-bias') {
    for (let i = 0; i < model.depth; i++) {
      const shape = relativeTableShape(model);
      specs.push({ name: blockTable(i), shape, decay: true, init: { kind: 'constant', value: 0 } });
    }
  }
  if (pooling === 'mean') specs.push(constant('fc_norm.weight', 1), constant('fc_norm.bias', 0));
  specs.push(
    {
      name: 'head.weight',
      shape: [classes, dim],
      decay: true,
      init: { kind: 'truncated-normal', std: model.init_std, divideBy: 1 / init_scale },
    },
    { name: 'head.bias', shape: [classes], decay: false, init: { kind: 'constant', value: 0 } },
  );
  return specs;
}

/**
 * A classifier's first state: the pretrained tensors by name, the shared table copied into every block as
 * run_class_finetuning.py does, and what pretraining has not by its own start.
 * @throws AppError bad-file where a pretrained tensor has another shape
 */
export function classifierState(
  specs: readonly ParameterSpec[],
  pretrained: StateDict,
  random: (name: string) => Uniform,
): StateDict {
  const table = pretrained.get(SHARED_TABLE);
  const state: StateDict = new Map();
  for (const spec of specs) {
    const isTable = spec.name.endsWith('.attn.relative_position_bias_table');
    const found = pretrained.get(spec.name) ?? (isTable ? table : undefined);
    state.set(spec.name, found ?? { shape: spec.shape, data: initialTensor(spec, random(spec.name)) });
  }
  return state;
}

/** Layer of a tensor, from 0 for the embeddings to depth + 1 for the head (`get_num_layer_for_vit` of optim_factory.py). */
export function layerOf(name: string, depth: number): number {
  if (/^(cls_token|mask_token|pos_embed|patch_embed\.)/.test(name)) return 0;
  const [, block] = /^blocks\.(\d+)\./.exec(name) ?? [];
  return block === undefined ? depth + 1 : Number(block) + 1;
}

/** Factor of the learning rate, for each value: `[length]` (`LayerDecayValueAssigner` of optim_factory.py). */
function rateScale(layout: FlatLayout, depth: number, decay: number): tf.Tensor1D {
  const scale = new Float32Array(layout.length);
  let at = 0;
  layout.specs.forEach(({ name }, i) => {
    scale.fill(decay ** (depth + 1 - layerOf(name, depth)), at, at + layout.sizes[i]!);
    at += layout.sizes[i]!;
  });
  return tf.tensor1d(scale);
}

/**
 * A Vision Transformer with a linear classifier, trained whole (`train_one_epoch` of engine_for_finetuning.py). The
 * instance owns its tensors; between calls their number does not change. Call `dispose` at the end.
 */
export class Classifier {
  readonly layout: FlatLayout;
  readonly #model: ModelConfig;
  readonly #settings: ClassifierSettings;
  readonly #classes: number;
  readonly #optimizer: AdamW;
  #flat: tf.Tensor1D;
  #parameters: Map<string, tf.Tensor>;

  /** @param state every tensor of `classifierSpecs` @throws AppError bad-file where one is missing or of another shape */
  constructor(model: ModelConfig, classes: number, settings: ClassifierSettings, state: StateDict) {
    this.layout = new FlatLayout(classifierSpecs(model, classes, settings));
    this.#model = model;
    this.#settings = settings;
    this.#classes = classes;
    this.#flat = tf.tensor1d(this.layout.fromState(state));
    this.#parameters = this.layout.unflatten(this.#flat);
    // AdamW's own betas and epsilon: the published code passes none here.
    this.#optimizer = new AdamW(
      { betas: [0.9, 0.999], eps: 1e-8 },
      this.layout.decayMask(),
      rateScale(this.layout, model.depth, settings.layer_decay),
    );
  }

  /**
   * One step on soft targets (`SoftTargetCrossEntropy` of timm).
   * @param images `[batch, side, side, 3]`, normalised @param targets `[batch, classes]`, rows summing to one
   * @param random decides which residual branches are left out
   * @returns loss, nats, and the gradient's norm before clipping
   */
  step(
    images: Float32Array,
    targets: Float32Array,
    rates: { lr: number; weight_decay: number },
    random: Uniform,
    onGradients?: (gradients: StateDict) => void,
  ): { loss: number; grad_norm: number } {
    const batch = targets.length / this.#classes;
    const names = this.layout.specs.map(({ name }) => name);
    const [loss, gradient] = tf.tidy(() => {
      const input = this.#input(images);
      const target = tf.tensor2d(targets, [batch, this.#classes]);
      const dropPath = this.#dropPath(batch, random);
      const forward = (...tensors: tf.Tensor[]) => {
        const p = new Map(names.map((name, i) => [name, tensors[i]!]));
        const logits = this.#forward(p, input, dropPath);
        return tf.mul(tf.sum(tf.mul(target, tf.logSoftmax(logits))), -1 / batch) as tf.Scalar;
      };
      const { value, grads } = tf.valueAndGrads(forward)(names.map((name) => this.#parameters.get(name)!));
      return [value, tf.concat(grads.map((g) => tf.reshape(g, [-1]))) as tf.Tensor1D];
    });
    const value = loss.dataSync()[0]!;
    loss.dispose();
    if (onGradients) onGradients(this.layout.toState(hostCopy(gradient)));
    const norm = tf.tidy(() => tf.sqrt(tf.sum(tf.square(gradient))).dataSync()[0]!);
    if (Number.isFinite(norm) && Number.isFinite(value)) {
      const clipped = tf.mul(gradient, clipFactor(norm, this.#settings.clip_grad));
      this.#replace(this.#optimizer.update(this.#flat, clipped as tf.Tensor1D, rates.lr, rates.weight_decay));
      clipped.dispose();
    }
    gradient.dispose();
    return { loss: value, grad_norm: norm };
  }

  /** @param images `[batch, side, side, 3]`, normalised @returns `[batch, classes]`, row-major, before the softmax */
  logits(images: Float32Array): Float32Array {
    const logits = tf.tidy(() => this.#forward(this.#parameters, this.#input(images)));
    const copy = hostCopy(logits);
    logits.dispose();
    return copy;
  }

  /** What going on needs: parameters, moments and updates done. */
  state(): { student: StateDict; exp_avg: StateDict; exp_avg_sq: StateDict; updates: number } {
    const read = (t: tf.Tensor1D) => this.layout.toState(hostCopy(t));
    const { expAvg, expAvgSq, count } = this.#optimizer;
    return { student: read(this.#flat), exp_avg: read(expAvg), exp_avg_sq: read(expAvgSq), updates: count };
  }

  /** Continues an optimizer from stored moments. */
  restoreOptimizer(expAvg: StateDict, expAvgSq: StateDict, updates: number): void {
    const read = (state: StateDict) => tf.tensor1d(this.layout.fromState(state));
    this.#optimizer.setMoments(read(expAvg), read(expAvgSq));
    this.#optimizer.count = updates;
  }

  dispose(): void {
    tf.dispose([this.#flat, ...this.#parameters.values()]);
    this.#optimizer.dispose();
  }

  /** @returns `[batch, classes]` */
  #forward(p: Parameters, x: tf.Tensor4D, dropPath?: (block: number) => tf.Tensor | null): tf.Tensor2D {
    const tokens = encode(p, this.#model, x, null, dropPath && { dropPath });
    const [batch, n, dim] = tokens.shape;
    let pooled: tf.Tensor;
    if (this.#settings.pooling === 'mean') {
      const mean = tf.mean(tf.slice(tokens, [0, 1, 0], [batch, n - 1, dim]), 1);
      pooled = layerNorm(mean, p.get('fc_norm.weight')!, p.get('fc_norm.bias')!, this.#model.layer_norm_eps);
    } else {
      pooled = tf.reshape(tf.slice(tokens, [0, 0, 0], [batch, 1, dim]), [batch, dim]);
    }
    return linear(pooled as tf.Tensor2D, p.get('head.weight')!, p.get('head.bias')!);
  }

  /**
   * Stochastic depth (arXiv 1603.09382; `drop_path` of timm): a branch of a sample is left out with a probability that
   * rises with the block, and is scaled up where it stays. Each call draws anew: `[batch, 1, 1]`, or null for none.
   */
  #dropPath(batch: number, random: Uniform): (block: number) => tf.Tensor | null {
    const { depth } = this.#model;
    return (block) => {
      const probability = depth > 1 ? (this.#settings.drop_path * block) / (depth - 1) : 0;
      if (probability === 0) return null;
      const kept = 1 - probability;
      return tf.tensor3d(
        Array.from({ length: batch }, () => (random.next() < kept ? 1 / kept : 0)),
        [batch, 1, 1],
      );
    };
  }

  #input(images: Float32Array): tf.Tensor4D {
    const side = this.#model.image_size;
    return tf.tensor4d(images, [images.length / (side * side * 3), side, side, 3]);
  }

  #replace(flat: tf.Tensor1D): void {
    const parameters = this.layout.unflatten(flat);
    tf.dispose([this.#flat, ...this.#parameters.values()]);
    this.#flat = flat;
    this.#parameters = parameters;
  }
}
