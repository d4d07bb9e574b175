import * as tf from '@tensorflow/tfjs-core';
import { drawDropPath } from '../../electron/engine/drop-path.ts';
import { type DropPath, encode } from '../../electron/engine/encoder.ts';
import { hostTidy } from '../../electron/engine/host.ts';
import { all, type Images, joinImages, replace } from '../../electron/engine/layers/embed.ts';
import { project } from '../../electron/engine/layers/head.ts';
import { clsRows, join, l2Normalize, patchRows, someRows, Tokens, unit } from '../../electron/engine/layers/tokens.ts';
import { weightNormed } from '../../electron/engine/layers/weight-norm.ts';
import { weightedCrossEntropy } from '../../electron/engine/losses/cross-entropy.ts';
import { weightedSum } from '../../electron/engine/losses/loss.ts';
import type { Network } from '../../electron/engine/network.ts';
import { frozen, record, type Value } from '../../electron/engine/tape.ts';
import type { Method, TrainerConfig } from '../../electron/engine/trainer.ts';
import { patchesOf } from '../../shared/config.ts';
import { cropsIn } from '../../shared/crops.ts';
import type { Uniform } from '../../shared/random.ts';
import type { IBOTRunConfig } from './config.ts';
import { headOf, lastLayers, network, teacherNetwork } from './network.ts';

/** The parts of a configuration that the arithmetic needs. */
export type IBOTConfig = Pick<IBOTRunConfig, 'model' | 'head' | 'temperatures' | 'centres' | 'loss'> & {
  crops: Pick<IBOTRunConfig['crops'], 'small_size'>;
  /** Epochs without masks, for which the warm-up of the patches' temperature waits; none by default (`pred_start_epoch`). */
  maskedFrom?: number;
} & TrainerConfig;

export interface IBOTBatch {
  /** By the names of `cropViews`: `[batch, side, side, 3]` each, normalised. */
  views: Record<string, Images>;
  /** `[large crops * batch, K]`, crop by crop, 1 = masked. */
  mask: Float32Array;
  /** From 0. */
  epoch?: number;
  /** What the student leaves out of its pass over large crops, and over small ones; else drawn by `random`. */
  dropPath?: { large: DropPath; small: DropPath };
  random?: ((purpose: string) => Uniform) | undefined;
}

/** Masked image modelling by self-distillation (arXiv 2111.07832, section 3; `train_one_epoch` and `iBOTLoss` of main_ibot.py). */
export const step: Method<IBOTConfig, IBOTBatch> = {
  student: network,
  teacher: teacherNetwork,

  step({ student, teacher }, { views, mask, epoch = 0, ...batch }, config, show) {
    const { large, small } = cropsIn(views);
    const whole = joinImages(large);
    const images = mask.length / patchesOf(config.model) / large.length;
    const masked = Int32Array.from([...mask.keys()].filter((row) => mask[row] === 1));
    const drop = batch.dropPath ?? drawn(images, large.length, small.length, config, batch.random);

    const said = teach(teacher, whole, masked, config);

    const tokens = encode(student, replace(whole, mask), { dropPath: drop?.large });
    const local =
      small.length > 0
        ? [clsRows(encode(student, all(joinImages(small), config.crops.small_size), { dropPath: drop?.small }))]
        : [];
    const last = lastLayers(config);
    const logits = (rows: Tokens, layer: string) => weightNormed(student, layer, bottleneck(student, rows, config));
    const cls = logits(join([clsRows(tokens), ...local]), last.cls); // [crops * images, out]
    const patches = masked.length > 0 ? logits(someRows(patchRows(tokens), masked), last.patch) : null; // [masked, out]

    const [temperature, patchTemperature] = temperaturesAt(epoch, config);
    const target = sharpened(said.cls.tensor, student.buffer('center'), temperature);
    const patchTarget = said.patches && sharpened(said.patches.tensor, student.buffer('center2'), patchTemperature);
    const ofCls = against(cls, config, () => pairTargets(target, large.length, large.length + small.length));
    const ofPatches =
      patches && against(patches, config, () => tf.mul(patchTarget!, weightsOf(mask, masked, patchesOf(config.model))));
    const loss = weightedSum([
      [ofCls, config.loss.cls],
      ...(ofPatches ? [[ofPatches, config.loss.patch] as const] : []),
    ]);

    // After the loss, and of raw logits: of all patches, masked or not.
    follow(student, 'center', said.cls.tensor, config.centres.momentum);
    follow(student, 'center2', said.meanPatch.tensor, config.centres.patch_momentum);

    const figures = {
      loss_cls: config.loss.cls * numberOf(ofCls.tensor),
      loss_patch: ofPatches ? config.loss.patch * numberOf(ofPatches.tensor) : 0,
      teacher_entropy_cls: entropyOf(target),
      entropy_patch: patchTarget && entropyOf(patchTarget),
      accuracy: agreementOf(said.cls.tensor, cls.tensor, images),
    };
    if (show) {
      show('cls', cls.tensor);
      show('target', target);
      if (patches) show('patches', patches.tensor);
      if (patchTarget) show('patch_target', patchTarget);
      tf.tidy(() => show('images', l2Normalize(tf.slice(said.features.tensor, 0, images))));
    }
    return { loss, figures };
  },
};

/** Through the head to unit length: `[rows, bottleneck]`. */
export const bottleneck = (of: Network, rows: Tokens, config: Pick<IBOTConfig, 'model' | 'head'>): Tokens =>
  unit(project(of, headOf(config), rows));

/**
 * What the teacher says of whole large crops, which no gradient reaches: logits of CLS `[crops * images, out]` and of masked
 * patches `[masked, out]`, the mean of those of all patches `[1, out]`, and CLS tokens.
 */
function teach(teacher: Network, whole: Images, masked: Int32Array, config: IBOTConfig) {
  const last = lastLayers(config);
  const tokens = frozen(() => encode(teacher, all(whole)));
  const features = frozen(() => clsRows(tokens));
  const cls = frozen(() => weightNormed(teacher, last.cls, bottleneck(teacher, features, config)));
  const z = frozen(() => bottleneck(teacher, patchRows(tokens), config));
  const patches = masked.length > 0 ? frozen(() => weightNormed(teacher, last.patch, someRows(z, masked))) : null;
  // The last layer is linear: the mean of what it gives is what it gives of the mean.
  const meanPatch = frozen(() => {
    const mean = record(new Tokens(tf.tidy(() => tf.mean(z.tensor, 0, true)) as tf.Tensor2D, 1));
    return weightNormed(teacher, last.patch, mean);
  });
  return { cls, patches, meanPatch, features };
}

/** The teacher's distributions: softmax((logits - centre) / temperature). */
const sharpened = (logits: tf.Tensor2D, centre: tf.Tensor, temperature: number): tf.Tensor2D =>
  tf.tidy(() => tf.softmax(tf.div(tf.sub(logits, tf.reshape(centre, [1, -1])), temperature) as tf.Tensor2D));

/** The student's loss against weighted targets. */
const against = (logits: Tokens, { temperatures }: IBOTConfig, targetsOf: () => tf.Tensor): Value<tf.Scalar> =>
  weightedCrossEntropy(logits, targetsOf, temperatures.student);

/**
 * Every crop must say what the teacher says of each other large crop: the mean over all such pairs, of each the mean over
 * images (equation 1 of DINO, arXiv 2104.14294).
 * @param targets `[large * images, out]` @returns what each row of `[crops * images, out]` is held against
 */
function pairTargets(targets: tf.Tensor2D, large: number, crops: number): tf.Tensor2D {
  const [rows, out] = targets.shape;
  const images = rows / large;
  const each = tf.split(targets, large);
  const share = 1 / (large * (crops - 1) * images);
  const ofCrop = (crop: number) => {
    const others = each.filter((_, i) => i !== crop);
    return others.length > 0 ? tf.mul(tf.addN(others), share) : tf.zeros([images, out]);
  };
  return tf.concat(Array.from({ length: crops }, (_, crop) => ofCrop(crop))) as tf.Tensor2D;
}

/**
 * What each masked patch counts for, `[masked, 1]`: the mean over the masked patches of a crop, and over all crops, of which
 * one without a mask counts as 0 (equation 2).
 */
function weightsOf(mask: Float32Array, masked: Int32Array, K: number): tf.Tensor2D {
  const crops = mask.length / K;
  const counts = new Float32Array(crops);
  for (const row of masked) counts[Math.floor(row / K)]!++;
  return tf.tensor2d(
    Float32Array.from(masked, (row) => 1 / (counts[Math.floor(row / K)]! * crops)),
    [masked.length, 1],
  );
}

/** The teacher's temperatures of CLS and of patches: linear over the epochs of the warm-up, both ends included, then constant. */
export function temperaturesAt(
  epoch: number,
  { temperatures: t, maskedFrom = 0 }: Pick<IBOTConfig, 'temperatures' | 'maskedFrom'>,
): [cls: number, patch: number] {
  const way = (from: number, to: number, at: number) =>
    at >= t.warmup_epochs ? to : from + ((to - from) * Math.max(0, at)) / Math.max(1, t.warmup_epochs - 1);
  return [way(t.teacher_start, t.teacher, epoch), way(t.patch_start, t.patch, epoch - maskedFrom)];
}

/** c = m c + (1 - m) the mean of logits, in the centre's shape. */
function follow(student: Network, name: string, logits: tf.Tensor2D, m: number): void {
  student.updateBuffer(name, (old) => tf.add(tf.mul(old, m), tf.reshape(tf.mul(tf.mean(logits, 0), 1 - m), old.shape)));
}

const numberOf = (scalar: tf.Tensor): number => scalar.dataSync()[0]!;

/** Mean entropy of rows, nats. */
const entropyOf = (p: tf.Tensor2D): number =>
  hostTidy(() => tf.neg(tf.mean(tf.sum(tf.mul(p, tf.log(tf.add(p, 1e-38))), 1))))[0]!;

/** Share of images of whose first crop the teacher says the class that the student says of the second. */
function agreementOf(teacher: tf.Tensor2D, student: tf.Tensor2D, images: number): number | null {
  if (teacher.shape[0] < 2 * images) return null;
  const [share] = hostTidy(() => {
    const best = (x: tf.Tensor2D, from: number) =>
      tf.argMax(tf.slice(x, [from, 0], [images, x.shape[1]]) as tf.Tensor2D, 1);
    return tf.mean(tf.cast(tf.equal(best(teacher, 0), best(student, images)), 'float32'));
  });
  return share!;
}

/** What a training leaves out; null where nothing is drawn. */
function drawn(
  images: number,
  large: number,
  small: number,
  { model, loss: { drop_path } }: IBOTConfig,
  random: IBOTBatch['random'],
): IBOTBatch['dropPath'] | null {
  if (!random || drop_path === 0) return null;
  const of = (crops: number, purpose: string) =>
    drawDropPath(crops * images, { depth: model.depth, last: drop_path }, random(purpose));
  return { large: of(large, 'drop path of large crops'), small: of(small, 'drop path of small crops') };
}
