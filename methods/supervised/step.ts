import { drawDropPath as draw } from '../../electron/engine/drop-path.ts';
import { type DropPath, encode } from '../../electron/engine/encoder.ts';
import { all, type Images } from '../../electron/engine/layers/embed.ts';
import { linear } from '../../electron/engine/layers/linear.ts';
import { layerNorm } from '../../electron/engine/layers/norm.ts';
import { pool } from '../../electron/engine/layers/pool.ts';
import type { Tokens } from '../../electron/engine/layers/tokens.ts';
import { softCrossEntropy } from '../../electron/engine/losses/cross-entropy.ts';
import type { Network } from '../../electron/engine/network.ts';
import type { Method, TrainerConfig } from '../../electron/engine/trainer.ts';
import type { ModelConfig } from '../../shared/config.ts';
import type { Uniform } from '../../shared/random.ts';
import type { FineTuneSettings } from './config.ts';
import { type ClassifierConfig, layerOf, network } from './network.ts';

/** The parts of a fine-tuning that the arithmetic needs. */
export interface SupervisedConfig extends ClassifierConfig, TrainerConfig {
  settings: Pick<FineTuneSettings, 'pooling' | 'init_scale' | 'drop_path' | 'layer_decay'>;
}

export interface SupervisedBatch {
  /** `[batch, side, side, 3]`, normalised, mixed. */
  images: Images;
  /** `[batch, classes]`, rows summing to one. */
  targets: Float32Array;
  /** As `drawDropPath` draws it. */
  dropPath: DropPath;
}

/** AdamW's betas and epsilon are its own, whatever the pretraining had: the published code passes none here. */
export const configOf = (model: ModelConfig, classes: number, settings: FineTuneSettings): SupervisedConfig => ({
  model,
  classes,
  settings,
  optimizer: { betas: [0.9, 0.999], eps: 1e-8, clip_grad: settings.clip_grad },
});

/** A pretrained encoder and a classifier, trained whole on labelled images (`train_one_epoch` of engine_for_finetuning.py). */
export const step: Method<SupervisedConfig, SupervisedBatch> = {
  student: network,
  teacher: () => null,
  // Rates fall from the head to the embeddings (`LayerDecayValueAssigner` of optim_factory.py).
  rate:
    ({ model: { depth }, settings: { layer_decay } }) =>
    (name) =>
      layer_decay ** (depth + 1 - layerOf(name, depth)),

  step({ student }, { images, targets, dropPath }, config, show) {
    const scores = logits(student, images, config, dropPath);
    show?.('logits', scores.tensor);
    return { loss: softCrossEntropy(scores, targets), figures: {} };
  },
};

/** What a classifier says of images, before the softmax: `[batch, classes]`. @param dropPath in a step alone */
export function logits(
  classifier: Network,
  images: Images,
  { model, settings: { pooling } }: ClassifierConfig,
  dropPath?: DropPath,
): Tokens {
  const pooled = pool(encode(classifier, all(images), { dropPath }), pooling); // [batch, dim]
  const normal = pooling === 'mean' ? layerNorm(classifier, 'fc_norm', pooled, model.layer_norm_eps) : pooled;
  return linear(classifier, 'head', normal);
}

/** Stochastic depth of a fine-tuning: from 0 to its `drop_path`. */
export const drawDropPath = (
  batch: number,
  { model: { depth }, settings: { drop_path } }: { model: Pick<ModelConfig, 'depth'>; settings: { drop_path: number } },
  random: Uniform,
): DropPath => draw(batch, { depth, last: drop_path }, random);
