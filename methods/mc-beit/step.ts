import * as tf from '@tensorflow/tfjs-core';
import { type DropPath, encode } from '../../electron/engine/encoder.ts';
import { type Images, replace } from '../../electron/engine/layers/embed.ts';
import { linear } from '../../electron/engine/layers/linear.ts';
import type { Tokens } from '../../electron/engine/layers/tokens.ts';
import { patchRows, someRows } from '../../electron/engine/layers/tokens.ts';
import type { Network } from '../../electron/engine/network.ts';
import { frozen } from '../../electron/engine/tape.ts';
import type { Method, Show } from '../../electron/engine/trainer.ts';
import { network } from '../beit/network.ts';
import { type BEiTConfig, maskedRows, tokenFigures } from '../beit/step.ts';
import { logitsOf } from '../tokenizer/borrowed.ts';
import { type SharingConfig, sharedCrossEntropy } from './shared-targets.ts';

/** The parts of a configuration that the arithmetic needs. */
export interface McBEiTConfig extends BEiTConfig {
  targets: SharingConfig & {
    /** The tokenizer's logits are divided by it (tau). */
    temperature: number;
  };
}

export interface McBEiTBatch {
  /** As BEiT's. */
  views: { image: Images; tokenizer: Images };
  /** `[batch, K]`, 1 = masked. */
  mask: Float32Array;
  dropPath?: DropPath | undefined;
  /** `[batch * K * V]`, the tokenizer's logits, where they are known. */
  logits?: Float32Array;
}

/** Multi-choice targets (mc-BEiT, arXiv 2203.15371; `train_one_epoch` of its engine_for_pretraining.py). */
export const step: Method<McBEiTConfig, McBEiTBatch> = {
  student: network,
  teacher: () => null,

  step({ student }, { views, mask, dropPath, logits }, { tokenizer, targets }, show) {
    const masked = maskedRows(mask);
    const [own, ids] = distributions(student, views.tokenizer, { tokenizer, targets }, logits);
    const features = patchRows(encode(student, replace(views.image, mask), { dropPath }));
    const said = linear(student, 'lm_head', someRows(features, masked)); // [masked, V]
    const { loss, figures } = sharedCrossEntropy(features, said, own, masked, targets);
    own.dispose();
    if (show) showAll(student, features, show);
    return {
      loss,
      figures: {
        ...tokenFigures(
          said.tensor,
          masked.map((row) => ids[row]!),
          tokenizer.codes,
        ),
        ...figures,
        divergence: loss.tensor.dataSync()[0]! - figures.target_entropy,
      },
    };
  },
};

/** Of each patch softmax(logits / temperature), `[batch * K, V]`, and its likeliest token; the caller owns the tensor. */
function distributions(
  student: Network,
  images: Images,
  { tokenizer, targets }: Pick<McBEiTConfig, 'tokenizer' | 'targets'>,
  known?: Float32Array,
): [tf.Tensor2D, Int32Array] {
  const rows = known
    ? tf.tensor2d(known, [known.length / tokenizer.codes, tokenizer.codes])
    : tf.tidy(() => logitsOf(student, images, tokenizer).tensor.clone());
  const own = tf.tidy(() => tf.softmax(tf.div(rows, targets.temperature)) as tf.Tensor2D);
  const best = tf.tidy(() => tf.argMax(rows, 1));
  const ids = Int32Array.from(best.dataSync());
  tf.dispose([rows, best]);
  return [own, ids];
}

/** Features of every patch, and what is said of it: a step itself asks of masked ones alone. */
function showAll(student: Network, features: Tokens, show: Show): void {
  const { batch, n, width } = features;
  const said = frozen(() => linear(student, 'lm_head', features));
  tf.tidy(() => {
    show('features', tf.reshape(features.tensor, [batch, n, width]));
    show('outputs', tf.reshape(said.tensor, [batch, n, said.width]));
  });
}
