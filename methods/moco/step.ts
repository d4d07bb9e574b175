import type * as tf from '@tensorflow/tfjs-core';
import { encode } from '../../electron/engine/encoder.ts';
import { advance, enqueue } from '../../electron/engine/enqueue.ts';
import { all, type Images } from '../../electron/engine/layers/embed.ts';
import { type NormMode, project } from '../../electron/engine/layers/head.ts';
import { clsRows, type Tokens, unit } from '../../electron/engine/layers/tokens.ts';
import { type Found, infoNCE } from '../../electron/engine/losses/info-nce.ts';
import { weightedSum } from '../../electron/engine/losses/loss.ts';
import type { Network } from '../../electron/engine/network.ts';
import { frozen, type Value } from '../../electron/engine/tape.ts';
import type { Method, Show, TrainerConfig } from '../../electron/engine/trainer.ts';
import type { MoCoRunConfig } from './config.ts';
import { headOf, type MoCoNetworkConfig, network, predictorOf, queuesOf, teacherNetwork } from './network.ts';

/** The parts of a configuration that the arithmetic needs. */
export type MoCoConfig = MoCoNetworkConfig & TrainerConfig;

export interface MoCoBatch {
  /** `[batch, side, side, 3]`, normalised: two crops of each image. */
  views: { first: Images; second: Images };
}

/** One direction: the queries of a view look for the keys of the other. */
type Direction = readonly [asking: 0 | 1, asked: 0 | 1];

/** Both ways, but for one queue (arXiv 1911.05722, algorithm 1). */
export const directionsOf = ({ dictionary }: Pick<MoCoRunConfig['contrast'], 'dictionary'>): readonly Direction[] =>
  dictionary === 'queue'
    ? [[0, 1]]
    : [
        [0, 1],
        [1, 0],
      ];

/**
 * Momentum contrast: v3 (arXiv 2104.02057, algorithm 1), and with a queue v1 and v2 (arXiv 1911.05722, algorithm 1) and MoBY
 * (arXiv 2105.04553, algorithm 1). The teacher follows before the step.
 */
export const step: Method<MoCoConfig, MoCoBatch> = {
  student: network,
  teacher: teacherNetwork,
  followsBefore: true,

  step({ student, teacher }, { views }, config, show) {
    const images = [views.first, views.second];
    const directions = directionsOf(config.contrast);
    // Each view passes by itself: a BatchNorm sees the rows of one.
    const cls = directions.map(([asking]) => clsRows(encode(student, all(images[asking]!))));
    const queries = cls.map((rows) => query(student, rows, config));
    const keys = directions
      .map(([, asked]) => asked)
      .sort()
      .map((asked) => ({ asked, rows: frozen(() => key(teacher, images[asked]!, config)) }));
    if (show) show('cls', frozen(() => unit(cls[0]!)).tensor);
    const asked = directions.map(([, of]) => keys.find((one) => one.asked === of)!.rows);
    return contrast(student, queries, asked, config, show);
  },
};

/** A query: head, predictor where there is one, unit length. @param cls `[batch, dim]` @returns `[batch, out]` */
export function query(student: Network, cls: Tokens, config: MoCoNetworkConfig, mode?: NormMode): Tokens {
  const predictor = predictorOf(config);
  const projected = project(student, headOf(config), cls, mode);
  return unit(predictor ? project(student, predictor, projected, mode) : projected);
}

/** A key: the teacher's head on CLS, unit length. @returns `[batch, out]` */
export const key = (teacher: Network, images: Images, config: MoCoNetworkConfig, mode?: NormMode): Tokens =>
  unit(project(teacher, headOf(config), clsRows(encode(teacher, all(images))), mode));

/**
 * The loss of queries and keys, and the keys' way into the queues, which comes after it: those of this step are no candidates
 * yet. Of a batch each term is times 2 T (arXiv 2104.02057, algorithm 1).
 * @param student has the queues @param queries @param keys `[batch, out]` for each direction, of unit length
 */
export function contrast(
  student: Network,
  queries: readonly Value<tf.Tensor2D>[],
  keys: readonly Value<tf.Tensor2D>[],
  {
    contrast: { dictionary, temperature },
  }: { contrast: Pick<MoCoRunConfig['contrast'], 'dictionary' | 'temperature'> },
  show: Show | null,
): { loss: Value<tf.Scalar>; figures: { top1: number } } {
  const queues = queuesOf({ dictionary });
  const factor = dictionary === 'batch' ? 2 * temperature : 1;
  const found = directionsOf({ dictionary }).map(([asking, asked], i): Found => {
    const names = queues[asked];
    const queue = names ? (student.buffer(names.queue) as tf.Tensor2D) : null;
    const one = infoNCE(queries[i]!, keys[i]!, temperature, queue);
    show?.(`q${asking + 1}`, queries[i]!.tensor);
    show?.(`k${asked + 1}`, keys[i]!.tensor);
    if (queue) show?.(`queue_q${asking + 1}`, queue);
    if (one.logits) show?.(`logits_q${asking + 1}`, one.logits.tensor);
    show?.(`loss_q${asking + 1}`, one.loss.tensor);
    return one;
  });
  const rows = keys[0]!.tensor.shape[0];
  for (const [i, [, asked]] of directionsOf({ dictionary }).entries())
    if (queues[asked]) enqueue(student, queues[asked], keys[i]!.tensor);
  const [first] = Object.values(queues);
  if (first) {
    advance(student, first, rows);
    show?.('queue_ptr', student.buffer(first.pointer));
  }
  return {
    loss: weightedSum(found.map(({ loss }) => [loss, factor] as const)),
    figures: { top1: found.reduce((sum, { top1 }) => sum + top1 / found.length, 0) },
  };
}
