import * as tf from '@tensorflow/tfjs-core';
import { type DropPath, encode } from '../../electron/engine/encoder.ts';
import { hostTidy } from '../../electron/engine/host.ts';
import { type Images, replace } from '../../electron/engine/layers/embed.ts';
import { linear } from '../../electron/engine/layers/linear.ts';
import { countsOf } from '../../electron/engine/layers/quantize.ts';
import { patchRows, someRows } from '../../electron/engine/layers/tokens.ts';
import { crossEntropy } from '../../electron/engine/losses/cross-entropy.ts';
import type { Method, TrainerConfig } from '../../electron/engine/trainer.ts';
import { type AugmentConfig, patchesOf } from '../../shared/config.ts';
import type { Uniform } from '../../shared/random.ts';
import { entropyOf } from '../../shared/statistics.ts';
import { drawDropPath } from '../supervised/step.ts';
import { idsOf } from '../tokenizer/borrowed.ts';
import { shapeFor } from '../tokenizer/shape.ts';
import { network, type StudentConfig } from './network.ts';

/** The parts of a configuration that the arithmetic needs. */
export interface BEiTConfig extends TrainerConfig, StudentConfig {
  /** Pixels of the tokenizer's view are normalised by these too; missing where they are from -1 to 1 already. */
  augment?: Pick<AugmentConfig, 'mean' | 'std'>;
  student?: { drop_path: number };
}

export interface BEiTBatch {
  /** `[batch, side, side, 3]`, the same places, normalised: for the student, and at the tokenizer's side for it. */
  views: { image: Images; tokenizer: Images };
  /** `[batch, K]`, 1 = masked. */
  mask: Float32Array;
  /** Branches that are left out; drawn by `random` where they are not given. */
  dropPath?: DropPath | undefined;
  random?: (purpose: string) => Uniform;
}

/** BERT pre-training of image transformers (arXiv 2106.08254, section 2.3; `train_one_epoch` of engine_for_pretraining.py). */
export const step: Method<BEiTConfig, BEiTBatch> = {
  student: network,
  teacher: () => null,

  step({ student }, batch, config) {
    const { views, mask } = batch;
    const tokenizer = shapeFor(config.model, config.tokenizer);
    // The frozen tokenizer sees the whole image, and says which token each patch has.
    const ids = idsOf(student, forTokenizer(views.tokenizer, config.augment), tokenizer);
    const masked = maskedRows(mask);
    const labels = masked.map((row) => ids[row]!);
    const tokens = patchRows(encode(student, replace(views.image, mask), { dropPath: branchesOf(batch, config) }));
    const said = linear(student, 'lm_head', someRows(tokens, masked)); // [masked, V]
    // The mean over all masked patches of the batch, not over images.
    return { loss: crossEntropy(said, labels), figures: tokenFigures(said.tensor, labels, tokenizer.codes) };
  },
};

/** Pixels from -1 to 1 again, as tokenizers want them. */
export function forTokenizer(images: Images, augment: BEiTConfig['augment']): Images {
  if (!augment) return images;
  const [scale, shift] = [augment.std.map((std) => 2 * std), augment.mean.map((mean) => 2 * mean - 1)];
  return images.map((value, i) => value * scale[i % 3]! + shift[i % 3]!);
}

/** Stochastic depth of a step: what it is given, or draws. */
export function branchesOf(
  { mask, dropPath, random }: BEiTBatch,
  { model, student }: BEiTConfig,
): DropPath | undefined {
  if (dropPath || !student || student.drop_path === 0 || !random) return dropPath;
  const settings = { drop_path: student.drop_path };
  return drawDropPath(mask.length / patchesOf(model), { model, settings }, random('drop path'));
}

/** Rows of masked patches among those of a batch. @param mask `[batch, K]` */
export const maskedRows = (mask: Float32Array): Int32Array =>
  Int32Array.from([...mask.keys()].filter((row) => mask[row] === 1));

/**
 * How often the likeliest token is the right one, beside what frequencies alone give: the most frequent one's share, and the
 * entropy, nats. @param said `[masked, V]` @param labels `[masked]`
 */
export function tokenFigures(said: tf.Tensor2D, labels: Int32Array, codes: number) {
  const right = hostTidy(() => tf.argMax(said, 1)).filter((id, row) => id === labels[row]).length;
  const shares = countsOf(labels, codes).map((count) => count / labels.length);
  return {
    accuracy: right / labels.length,
    frequent: shares.reduce((most, share) => Math.max(most, share), 0),
    token_entropy: entropyOf(shares),
  };
}
