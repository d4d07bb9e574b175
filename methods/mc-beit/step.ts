import * as tf from '@tensorflow/tfjs-core';
import { encode } from '../../electron/engine/encoder.ts';
import { hostTidy } from '../../electron/engine/host.ts';
import { replace } from '../../electron/engine/layers/embed.ts';
import { linear } from '../../electron/engine/layers/linear.ts';
import { patchRows, someRows, type Tokens } from '../../electron/engine/layers/tokens.ts';
import type { Network } from '../../electron/engine/network.ts';
import { frozen } from '../../electron/engine/tape.ts';
import type { Method, Show } from '../../electron/engine/trainer.ts';
import { type BEiTBatch, type BEiTConfig, branchesOf, forTokenizer, maskedRows, tokenFigures } from '../beit/step.ts';
import { logitsOf } from '../tokenizer/borrowed.ts';
import { shapeFor } from '../tokenizer/shape.ts';
import { network, TEMPERATURE } from './network.ts';
import { type SharingConfig, sharedCrossEntropy } from './shared-targets.ts';

/** The parts of a configuration that the arithmetic needs. */
export interface McBEiTConfig extends BEiTConfig {
  targets: SharingConfig & {
    /** The tokenizer's logits are divided by it (tau); null to find it by the first batch. */
    temperature: number | null;
  };
}

export interface McBEiTBatch extends BEiTBatch {
  /** `[batch * K * V]`, the tokenizer's logits, where they are known. */
  logits?: Float32Array;
}

/** Multi-choice targets (mc-BEiT, arXiv 2203.15371; `train_one_epoch` of its engine_for_pretraining.py). */
export const step: Method<McBEiTConfig, McBEiTBatch> = {
  student: network,
  teacher: () => null,

  step({ student }, batch, config, show) {
    const { views, mask } = batch;
    const { targets } = config;
    const { codes } = shapeFor(config.model, config.tokenizer);
    const masked = maskedRows(mask);
    const [own, ids] = distributions(student, batch, config);
    const features = patchRows(encode(student, replace(views.image, mask), { dropPath: branchesOf(batch, config) }));
    const said = linear(student, 'lm_head', someRows(features, masked)); // [masked, V]
    const { loss, figures } = sharedCrossEntropy(features, said, own, masked, targets);
    const choices = Math.exp(entropyOfRows(own));
    if (show) showAll(student, features, show);
    return {
      loss,
      figures: {
        ...tokenFigures(
          said.tensor,
          masked.map((row) => ids[row]!),
          codes,
        ),
        ...figures,
        choices,
        divergence: loss.tensor.dataSync()[0]! - figures.target_entropy,
      },
    };
  },
};

/** Of each patch softmax(logits / temperature), `[batch * K, V]`, and its likeliest token. */
function distributions(student: Network, batch: McBEiTBatch, config: McBEiTConfig): [tf.Tensor2D, Int32Array] {
  const tokenizer = shapeFor(config.model, config.tokenizer);
  const { logits, views } = batch;
  let ids = new Int32Array();
  const own = tf.tidy(() => {
    const rows = logits
      ? tf.tensor2d(logits, [logits.length / tokenizer.codes, tokenizer.codes])
      : logitsOf(student, forTokenizer(views.tokenizer, config.augment), tokenizer).tensor;
    ids = Int32Array.from(hostTidy(() => tf.argMax(rows, 1)));
    return tf.softmax(tf.div(rows, config.targets.temperature ?? temperatureOf(student, rows)) as tf.Tensor2D);
  });
  return [own, ids];
}

/** Mean entropy of rows that are distributions, nats. */
function entropyOfRows(rows: tf.Tensor2D): number {
  return hostTidy(() => tf.neg(tf.mean(tf.sum(tf.mul(rows, tf.log(tf.maximum(rows, 1e-30))), 1))))[0]!;
}

/** Of all tokens the share that a target names: 16 of 256. */
const SHARE = 1 / 16;

/**
 * The temperature at which targets name a sixteenth of the tokens, exp of their mean entropy: what it has to be depends on
 * the tokenizer. It is found by the first batch and kept.
 */
function temperatureOf(student: Network, rows: tf.Tensor2D): number {
  const known = student.buffer(TEMPERATURE).dataSync()[0]!;
  if (known > 0) return known;
  const wanted = Math.log(Math.max(1.5, rows.shape[1] * SHARE));
  let [low, high] = [Math.log(1e-4), Math.log(1e3)];
  for (let round = 0; round < 40; round++) {
    const middle = (low + high) / 2;
    const entropy = tf.tidy(() => entropyOfRows(tf.softmax(tf.div(rows, Math.exp(middle)) as tf.Tensor2D)));
    if (entropy < wanted) low = middle;
    else high = middle;
  }
  const found = Math.fround(Math.exp((low + high) / 2));
  student.updateBuffer(TEMPERATURE, () => tf.scalar(found));
  return found;
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
