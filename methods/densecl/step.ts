import * as tf from '@tensorflow/tfjs-core';
import { encode } from '../../electron/engine/encoder.ts';
import { advance, enqueue } from '../../electron/engine/enqueue.ts';
import { hostTidy } from '../../electron/engine/host.ts';
import { gatherRows } from '../../electron/engine/kernels/gather-rows.ts';
import { all, type Images, rowsOfBatch } from '../../electron/engine/layers/embed.ts';
import { project } from '../../electron/engine/layers/head.ts';
import { meanRows } from '../../electron/engine/layers/pool.ts';
import { l2Normalize, patchRows, Tokens, unit } from '../../electron/engine/layers/tokens.ts';
import { infoNCE } from '../../electron/engine/losses/info-nce.ts';
import { weightedSum } from '../../electron/engine/losses/loss.ts';
import type { Network } from '../../electron/engine/network.ts';
import { frozen, record, type Value } from '../../electron/engine/tape.ts';
import type { Figures, Method, Networks, Show, TrainerConfig } from '../../electron/engine/trainer.ts';
import type { DenseCLRunConfig } from './config.ts';
import { type DenseCLNetworkConfig, headsOf, network, QUEUES, teacherNetwork } from './network.ts';

/** The parts of a configuration that the arithmetic needs. */
export type DenseCLConfig = DenseCLNetworkConfig & Pick<DenseCLRunConfig, 'dense'> & TrainerConfig;

export interface DenseCLBatch {
  /** `[batch, side, side, 3]`, normalised: two crops of each image. */
  views: { first: Images; second: Images };
  /** Steps that were done before. */
  step?: number;
}

/**
 * Dense contrastive learning (arXiv 2011.09157, section 3): MoCo v2 on whole crops, and beside it on patches, each of which
 * looks for the key of the patch of the other crop that is most like it. The teacher follows before the step.
 */
export const step: Method<DenseCLConfig, DenseCLBatch> = {
  student: network,
  teacher: teacherNetwork,
  followsBefore: true,

  step(networks, { views, step: done = 0 }, config, show) {
    const queries = patchRows(encode(networks.student, all(views.first))); // [batch * K, dim]
    const keys = frozen(() => patchRows(encode(networks.teacher, all(views.second)))); // [batch * K, dim]
    return contrast(networks, queries, keys, { ...config, lambda: lambdaAt(done, config) }, show);
  },
};

/** The weight of the loss of patches: 0 for the first steps, where that is asked for. @param done steps before this one */
export const lambdaAt = (done: number, { dense }: Pick<DenseCLConfig, 'dense'>): number =>
  done < dense.start_steps ? 0 : dense.lambda;

/**
 * From patch features of both crops to the loss, and the keys' way into the queues, which comes after it.
 * @param queries of the student, @param keys of the teacher: `[batch * K, dim]`, image by image
 */
export function contrast(
  { student, teacher }: Networks,
  queries: Tokens,
  keys: Tokens,
  { neck, contrast: { temperature }, lambda }: Pick<DenseCLConfig, 'neck' | 'contrast'> & { lambda: number },
  show: Show | null,
): { loss: Value<tf.Scalar>; figures: Figures } {
  const heads = headsOf(neck, queries.width);
  const { batch, n: K } = queries;
  const q = {
    global: project(student, heads.global, meanRows(queries)),
    dense: project(student, heads.dense, queries),
  };
  const dense = frozen(() => project(teacher, heads.dense, keys)); // [batch * K, out]
  const k = {
    global: frozen(() => unit(project(teacher, heads.global, meanRows(keys)))), // [batch, out]
    mean: frozen(() => unit(meanRows(dense))), // [batch, out]: of unit length after the mean, not before
    dense: frozen(() => unit(dense)), // [batch * K, out]
  };
  // By the encoder's features, not by those of the heads.
  const match = matches(queries, keys).places;
  const matched = record(
    new Tokens(
      tf.tidy(() => gatherRows(k.dense.tensor, rowsOfBatch(match, batch, K))),
      batch,
    ),
  );
  const crops = infoNCE(unit(q.global), k.global, temperature, queueOf(student, 'global'));
  const patches = infoNCE(unit(q.dense), matched, temperature, queueOf(student, 'dense'));
  const loss = weightedSum([
    [crops.loss, 1 - lambda],
    [patches.loss, lambda],
  ]);
  if (show) shown(show, { student, queries, match, raw: q, keys: k });
  for (const [of, rows] of [['global', k.global] as const, ['dense', k.mean] as const]) {
    enqueue(student, QUEUES[of], rows.tensor);
    advance(student, QUEUES[of], batch);
  }
  const [loss_global, loss_dense] = [crops, patches].map((one) => one.loss.tensor.dataSync()[0]!);
  return {
    loss,
    figures: {
      loss_global: loss_global!,
      loss_dense: loss_dense!,
      lookup_global: crops.top1,
      lookup_dense: patches.top1,
      ...sharesOf(match, K),
    },
  };
}

const queueOf = (student: Network, of: keyof typeof QUEUES) => student.buffer(QUEUES[of].queue) as tf.Tensor2D;

/**
 * Which patch of the other crop each patch is most like, by the cosine of their features, in floats whatever they are stored
 * in; the first of several. No gradient. @returns for each of the `batch * K` queries a place among the K of its image, and the
 * cosine
 */
export function matches(queries: Tokens, keys: Tokens): { places: Int32Array; cosines: Float32Array } {
  const { batch, n: K, width } = queries;
  const found = { places: new Int32Array(), cosines: new Float32Array() };
  tf.tidy(() => {
    const [q, k] = [queries, keys].map(({ tensor }) => tf.reshape(l2Normalize(tensor), [batch, K, width]));
    const alike = tf.matMul(q!, k!, false, true); // [batch, patches of the query, patches of the key]
    found.places = Int32Array.from(hostTidy(() => tf.argMax(alike, 2)));
    found.cosines = hostTidy(() => tf.max(alike, 2)) as Float32Array<ArrayBuffer>;
  });
  return found;
}

/** How many patches of a crop are matched with different ones, and with the one at their own place: shares of K, over images. */
export function sharesOf(match: Int32Array, K: number): { distinct: number; same_place: number } {
  let [distinct, same] = [0, 0];
  for (let at = 0; at < match.length; at += K) {
    const of = match.subarray(at, at + K);
    distinct += new Set(of).size;
    same += of.reduce((sum, place, i) => sum + +(place === i), 0);
  }
  return { distinct: distinct / match.length, same_place: same / match.length };
}

/** What is measured of a step now and then, and what replays write. */
function shown(
  show: Show,
  of: {
    student: Network;
    queries: Tokens;
    match: Int32Array;
    raw: Record<'global' | 'dense', Tokens>;
    keys: Record<'global' | 'dense', Tokens>;
  },
): void {
  const { student, queries, match } = of;
  tf.tidy(() => {
    show('queue', tf.transpose(queueOf(student, 'global')));
    show('queue2', tf.transpose(queueOf(student, 'dense')));
    show('patches', l2Normalize(queries.tensor));
    show('match', tf.tensor2d(Float32Array.from(match), [queries.batch, queries.n]));
  });
  for (const head of ['global', 'dense'] as const) {
    show(`q.${head}`, of.raw[head].tensor);
    show(`k.${head}`, of.keys[head].tensor);
  }
}
