import type { ModelConfig } from '../../shared/config.ts';
import type { Uniform } from '../../shared/random.ts';
import type { StateDict, TensorSequence, TensorSource } from '../../shared/tensors.ts';
import { type BlocksOptions, type DropPath, encode, ownTable, SHARED_TABLE } from './encoder.ts';
import { hostTidy } from './host.ts';
import { all } from './layers/embed.ts';
import { linear } from './layers/linear.ts';
import { layerNorm } from './layers/norm.ts';
import { pool } from './layers/pool.ts';
import type { Tokens } from './layers/tokens.ts';
import { softCrossEntropy } from './losses/cross-entropy.ts';
import { Network } from './network.ts';
import { AdamW } from './optimizers/adamw.ts';
import { clipFactor, gradientNorm } from './optimizers/clip.ts';
import { encoderSpecs, initialTensor, relativeTableShape } from './parameters.ts';
import type { ParameterSpec } from './specs.ts';
import { differentiate } from './tape.ts';
import { Gradients } from './weights.ts';

export interface ClassifierSettings {
  pooling: 'mean' | 'cls';
  drop_path: number;
  layer_decay: number;
  init_scale: number;
  clip_grad: number | null;
}

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
      specs.push({ name: ownTable('blocks.', i), shape, decay: true, init: { kind: 'constant', value: 0 } });
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

/**
 * A Vision Transformer with a linear classifier, trained whole (`train_one_epoch` of engine_for_finetuning.py). The
 * instance owns its tensors; between calls their number does not change. Call `dispose` at the end.
 */
export class Classifier {
  readonly #model: ModelConfig;
  readonly #settings: ClassifierSettings;
  readonly #classes: number;
  readonly #optimizer: AdamW;
  readonly #network: Network;

  /** @param state every tensor of `classifierSpecs` @throws AppError bad-file where one is missing or of another shape */
  constructor(model: ModelConfig, classes: number, settings: ClassifierSettings, state: TensorSource) {
    this.#model = model;
    this.#settings = settings;
    this.#classes = classes;
    const parameters = classifierSpecs(model, classes, settings);
    this.#network = new Network({ model, parameters, buffers: [] }, state);
    const { depth } = model;
    // AdamW's own betas and epsilon: the published code passes none here. Rates fall from the head to the embeddings
    // (`LayerDecayValueAssigner` of optim_factory.py).
    this.#optimizer = new AdamW(
      { betas: [0.9, 0.999], eps: 1e-8 },
      parameters,
      (name) => settings.layer_decay ** (depth + 1 - layerOf(name, depth)),
    );
  }

  /**
   * One step on soft targets.
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
    const dropPath = this.#dropPath(targets.length / this.#classes, random);
    const gradients = new Gradients();
    const { loss } = differentiate(gradients, 1, () => ({
      loss: softCrossEntropy(this.#logits(images, { dropPath }), targets),
    }));
    if (onGradients) onGradients(gradients.state(this.#network.weights.specs));
    const norm = gradientNorm(gradients);
    if (Number.isFinite(norm) && Number.isFinite(loss)) {
      const clip = clipFactor(norm, this.#settings.clip_grad);
      this.#optimizer.update(this.#network.weights, gradients, clip, rates.lr, rates.weight_decay);
    }
    gradients.dispose();
    return { loss, grad_norm: norm };
  }

  /** @param images `[batch, side, side, 3]`, normalised @returns `[batch, classes]`, row-major, before the softmax */
  logits(images: Float32Array): Float32Array {
    return hostTidy(() => this.#logits(images).tensor);
  }

  /** Updates that the optimizer has done. */
  get updates(): number {
    return this.#optimizer.count;
  }

  /** Parameters and moments, a tensor at a time; nothing of them may be read after another step. */
  tensors(): { student: TensorSequence; exp_avg: TensorSequence; exp_avg_sq: TensorSequence } {
    return { student: this.#network.tensors(), ...this.#optimizer.tensors() };
  }

  /** Continues an optimizer from stored moments. */
  restoreOptimizer(expAvg: TensorSource, expAvgSq: TensorSource, updates: number): void {
    this.#optimizer.restore(expAvg, expAvgSq, updates);
  }

  dispose(): void {
    this.#network.dispose();
    this.#optimizer.dispose();
  }

  /** `[batch, classes]` */
  #logits(images: Float32Array, options?: BlocksOptions): Tokens {
    const { pooling } = this.#settings;
    const pooled = pool(encode(this.#network, all(images), options), pooling);
    const normal =
      pooling === 'mean' ? layerNorm(this.#network, 'fc_norm', pooled, this.#model.layer_norm_eps) : pooled;
    return linear(this.#network, 'head', normal);
  }

  /**
   * Stochastic depth (arXiv 1603.09382; `drop_path` of timm): a branch of a sample is left out with a probability that
   * rises with the block, and is scaled up where it stays. Each call draws anew: `[batch]`, or null for none.
   */
  #dropPath(batch: number, random: Uniform): DropPath {
    const { depth } = this.#model;
    return Array.from({ length: 2 * depth }, (_, branch) => {
      const probability = depth > 1 ? (this.#settings.drop_path * Math.floor(branch / 2)) / (depth - 1) : 0;
      if (probability === 0) return null;
      const kept = 1 - probability;
      return Float32Array.from({ length: batch }, () => (random.next() < kept ? 1 / kept : 0));
    });
  }
}
