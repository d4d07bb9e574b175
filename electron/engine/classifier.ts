import * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig } from '../../shared/config.ts';
import type { StateDict, TensorSequence, TensorSource, Uniform } from '../../shared/domain.ts';
import type { FineTuneSettings } from '../../shared/finetune.ts';
import { hostTidy } from './host.ts';
import { layerNorm, layerNormGradient } from './kernels/layer-norm.ts';
import { columnSum } from './kernels/sums.ts';
import { linear, linearGradient } from './linear.ts';
import { AdamW, clipFactor, gradientNorm } from './optimizer.ts';
import { encoderSpecs, initialTensor, type ParameterSpec, relativeTableShape } from './parameters.ts';
import { encode, encodeBackward, SHARED_TABLE } from './vit.ts';
import { Gradients, Weights } from './weights.ts';

export type ClassifierSettings = Pick<
  FineTuneSettings,
  'pooling' | 'drop_path' | 'layer_decay' | 'init_scale' | 'clip_grad'
>;

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

/**
 * A Vision Transformer with a linear classifier, trained whole (`train_one_epoch` of engine_for_finetuning.py). The
 * instance owns its tensors; between calls their number does not change. Call `dispose` at the end.
 */
export class Classifier {
  readonly #model: ModelConfig;
  readonly #settings: ClassifierSettings;
  readonly #classes: number;
  readonly #optimizer: AdamW;
  readonly #weights: Weights;

  /** @param state every tensor of `classifierSpecs` @throws AppError bad-file where one is missing or of another shape */
  constructor(model: ModelConfig, classes: number, settings: ClassifierSettings, state: TensorSource) {
    this.#model = model;
    this.#settings = settings;
    this.#classes = classes;
    const specs = classifierSpecs(model, classes, settings);
    this.#weights = new Weights(specs, state);
    const { depth } = model;
    // AdamW's own betas and epsilon: the published code passes none here. Rates fall from the head to the embeddings
    // (`LayerDecayValueAssigner` of optim_factory.py).
    this.#optimizer = new AdamW(
      { betas: [0.9, 0.999], eps: 1e-8 },
      specs,
      (name) => settings.layer_decay ** (depth + 1 - layerOf(name, depth)),
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
    const gradients = new Gradients();
    const input = this.#input(images);
    const encoded = encode(this.#weights, this.#model, input, null, {
      dropPath: this.#dropPath(batch, random),
      keep: 'all',
    });
    input.dispose();
    const { logits, pooled } = this.#head(encoded.tokens);
    const [loss, dlogits] = tf.tidy(() => {
      const target = tf.tensor2d(targets, [batch, this.#classes]);
      const entropy = tf.mul(tf.sum(tf.mul(target, tf.logSoftmax(logits))), -1 / batch);
      return [entropy, tf.div(tf.sub(tf.softmax(logits), target), batch)];
    }) as [tf.Scalar, tf.Tensor2D];
    logits.dispose();
    encodeBackward(encoded.tape!, this.#headGradient(dlogits, pooled, encoded.tokens, gradients), gradients);
    const value = loss.dataSync()[0]!;
    loss.dispose();
    if (onGradients) onGradients(gradients.state(this.#weights.specs));
    const norm = gradientNorm(gradients);
    if (Number.isFinite(norm) && Number.isFinite(value)) {
      const clip = clipFactor(norm, this.#settings.clip_grad);
      this.#optimizer.update(this.#weights, gradients, clip, rates.lr, rates.weight_decay);
    }
    gradients.dispose();
    return { loss: value, grad_norm: norm };
  }

  /** @param images `[batch, side, side, 3]`, normalised @returns `[batch, classes]`, row-major, before the softmax */
  logits(images: Float32Array): Float32Array {
    return hostTidy(() => this.#head(encode(this.#weights, this.#model, this.#input(images), null).tokens).logits);
  }

  /** Updates that the optimizer has done. */
  get updates(): number {
    return this.#optimizer.count;
  }

  /** Parameters and moments, a tensor at a time; nothing of them may be read after another step. */
  tensors(): { student: TensorSequence; exp_avg: TensorSequence; exp_avg_sq: TensorSequence } {
    return { student: this.#weights.tensors(), ...this.#optimizer.tensors() };
  }

  /** Continues an optimizer from stored moments. */
  restoreOptimizer(expAvg: TensorSource, expAvgSq: TensorSource, updates: number): void {
    this.#optimizer.restore(expAvg, expAvgSq, updates);
  }

  dispose(): void {
    this.#weights.dispose();
    this.#optimizer.dispose();
  }

  /** `tokens` are left to the caller. @returns logits `[batch, classes]`, and what the way back needs */
  #head(tokens: tf.Tensor3D): { logits: tf.Tensor2D; pooled: Pooled } {
    const [batch, n, dim] = tokens.shape;
    const isMean = this.#settings.pooling === 'mean';
    const x = tf.tidy(() =>
      isMean
        ? tf.mean(tf.slice(tokens, [0, 1, 0], [batch, n - 1, dim]), 1)
        : tf.reshape(tf.slice(tokens, [0, 0, 0], [batch, 1, dim]), [batch, dim]),
    ) as tf.Tensor2D;
    let pooled: Pooled = { x, y: x, stats: null };
    if (isMean) {
      const [w, b] = [this.#weights.get('fc_norm.weight'), this.#weights.get('fc_norm.bias')];
      pooled = { x, ...layerNorm(x, w, b, this.#model.layer_norm_eps) };
    }
    const product = linear(pooled.y, this.#weights, 'head.weight');
    const logits: tf.Tensor2D = tf.add(product, this.#weights.get('head.bias'));
    product.dispose();
    return { logits, pooled };
  }

  /** Everything that is given is taken. @returns the gradient of the tokens, `[batch * (1 + K), dim]` */
  #headGradient(dlogits: tf.Tensor2D, pooled: Pooled, tokens: tf.Tensor3D, gradients: Gradients): tf.Tensor2D {
    const [batch, n, dim] = tokens.shape;
    const { x, y, stats } = pooled;
    gradients.add('head.bias', columnSum(dlogits));
    let dpooled = linearGradient(dlogits, y, this.#weights, 'head.weight', gradients);
    if (stats) {
      const into: tf.Tensor2D = tf.zerosLike(x);
      const { dx, dw, db } = layerNormGradient(dpooled, x, this.#weights.get('fc_norm.weight'), stats, into);
      gradients.add('fc_norm.weight', dw);
      gradients.add('fc_norm.bias', db);
      tf.dispose([dpooled, y, stats]);
      dpooled = dx;
    }
    const dtokens = tf.tidy(() => {
      const each = tf.reshape(dpooled, [batch, 1, dim]);
      const spread = stats
        ? tf.concat([tf.zerosLike(each), tf.tile(tf.div(each, n - 1), [1, n - 1, 1])], 1)
        : tf.concat([each, tf.zeros([batch, n - 1, dim])], 1);
      return tf.reshape(spread, [batch * n, dim]) as tf.Tensor2D;
    });
    tf.dispose([dlogits, dpooled, x, tokens]);
    return dtokens;
  }

  /**
   * Stochastic depth (arXiv 1603.09382; `drop_path` of timm): a branch of a sample is left out with a probability that
   * rises with the block, and is scaled up where it stays. Each call draws anew: `[batch]`, or null for none.
   */
  #dropPath(batch: number, random: Uniform): (block: number) => tf.Tensor1D | null {
    const { depth } = this.#model;
    return (block) => {
      const probability = depth > 1 ? (this.#settings.drop_path * block) / (depth - 1) : 0;
      if (probability === 0) return null;
      const kept = 1 - probability;
      return tf.tensor1d(Array.from({ length: batch }, () => (random.next() < kept ? 1 / kept : 0)));
    };
  }

  #input(images: Float32Array): tf.Tensor4D {
    const side = this.#model.image_size;
    return tf.tensor4d(images, [images.length / (side * side * 3), side, side, 3]);
  }
}

/** Pooled tokens before and after their LayerNorm, `[batch, dim]`; without one they are the same, and `stats` is null. */
interface Pooled {
  x: tf.Tensor2D;
  y: tf.Tensor2D;
  stats: tf.Tensor2D | null;
}
