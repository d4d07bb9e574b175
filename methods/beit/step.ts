import * as tf from '@tensorflow/tfjs-core';
import { type DropPath, encode } from '../../electron/engine/encoder.ts';
import { type Images, replace } from '../../electron/engine/layers/embed.ts';
import { linear } from '../../electron/engine/layers/linear.ts';
import { countsOf } from '../../electron/engine/layers/quantize.ts';
import { patchRows, someRows } from '../../electron/engine/layers/tokens.ts';
import { crossEntropy } from '../../electron/engine/losses/cross-entropy.ts';
import type { Method, TrainerConfig } from '../../electron/engine/trainer.ts';
import type { ModelConfig } from '../../shared/config.ts';
import { idsOf } from '../tokenizer/borrowed.ts';
import type { TokenizerShape } from '../tokenizer/shape.ts';
import { network } from './network.ts';

/** The parts of a configuration that the arithmetic needs. */
export interface BEiTConfig extends TrainerConfig {
  model: ModelConfig;
  tokenizer: TokenizerShape;
}

export interface BEiTBatch {
  /** `[batch, side, side, 3]`: normalised, for the student; -1 to 1 at the tokenizer's side, for it. The same places. */
  views: { image: Images; tokenizer: Images };
  /** `[batch, K]`, 1 = masked. */
  mask: Float32Array;
  dropPath?: DropPath | undefined;
}

/** BERT pre-training of image transformers (arXiv 2106.08254, section 2.3; `train_one_epoch` of engine_for_pretraining.py). */
export const step: Method<BEiTConfig, BEiTBatch> = {
  student: network,
  teacher: () => null,

  step({ student }, { views, mask, dropPath }, { tokenizer }) {
    // The frozen tokenizer sees the whole image, and says which token each patch has.
    const ids = idsOf(student, views.tokenizer, tokenizer);
    const masked = maskedRows(mask);
    const labels = masked.map((row) => ids[row]!);
    const tokens = patchRows(encode(student, replace(views.image, mask), { dropPath }));
    const said = linear(student, 'lm_head', someRows(tokens, masked)); // [masked, V]
    // The mean over all masked patches of the batch, not over images.
    return { loss: crossEntropy(said, labels), figures: tokenFigures(said.tensor, labels, tokenizer.codes) };
  },
};

/** Rows of masked patches among those of a batch. @param mask `[batch, K]` */
export const maskedRows = (mask: Float32Array): Int32Array =>
  Int32Array.from([...mask.keys()].filter((row) => mask[row] === 1));

/**
 * How often the likeliest token is the right one, beside what frequencies alone give: the most frequent one's share, and the
 * entropy, nats. @param said `[masked, V]` @param labels `[masked]`
 */
export function tokenFigures(said: tf.Tensor2D, labels: Int32Array, codes: number) {
  const best = tf.tidy(() => tf.argMax(said, 1));
  const right = Array.from(best.dataSync()).filter((id, row) => id === labels[row]).length;
  best.dispose();
  const shares = countsOf(labels, codes).map((count) => count / labels.length);
  return {
    accuracy: right / labels.length,
    frequent: shares.reduce((most, share) => Math.max(most, share), 0),
    token_entropy: entropyOf(shares),
  };
}

/** Of shares that sum to one, nats. */
export const entropyOf = (shares: Float32Array): number =>
  shares.reduce((sum, share) => (share > 0 ? sum - share * Math.log(share) : sum), 0);
