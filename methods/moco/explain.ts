import * as tf from '@tensorflow/tfjs-core';
import { encode } from '../../electron/engine/encoder.ts';
import type { Explain } from '../../electron/engine/explanation.ts';
import { hostCopy, hostTidy } from '../../electron/engine/host.ts';
import { all } from '../../electron/engine/layers/embed.ts';
import { clsRows } from '../../electron/engine/layers/tokens.ts';
import type { RunConfig } from '../../shared/config.ts';
import { ours } from './config.ts';
import { queuesOf } from './network.ts';
import { key, query } from './step.ts';

/**
 * What the first crop of an image takes for the same: cosines of the student's queries of first crops with the teacher's keys
 * of second crops, and with what the queue holds of them. BatchNorms have their running statistics.
 */
const nearest: Explain<RunConfig> = (student, { teacher, batch }, config) => {
  const own = ours(config);
  const { first, second } = batch as { first: Float32Array; second: Float32Array };
  const names = queuesOf(own.contrast)[1];
  const n = first.length / (3 * config.model.image_size ** 2);
  let beside: number[] = [];
  const cosines = hostTidy(() => {
    const queries = query(student, clsRows(encode(student, all(first))), own, 'running').tensor;
    const keys = key(teacher!, second, own, 'running').tensor;
    if (names) {
      const asking = tf.slice(queries, [0, 0], [1, queries.shape[1]]);
      beside = [...hostCopy(tf.matMul(asking, student.buffer(names.queue) as tf.Tensor2D))];
    }
    return tf.matMul(queries, keys, false, true);
  });
  const [found, ...others] = [...cosines.subarray(0, n)];
  const candidates = [...others, ...beside];
  return {
    pictures: {},
    maps: {},
    pairs: { cosine: [...cosines] },
    figures: { own: found!, above: candidates.filter((one) => one >= found!).length, among: candidates.length + 1 },
    words:
      'The query is of the first crop, as the student sees it; keys are of the second crops, as the teacher does. ' +
      (names ? `The queue's ${own.contrast.queue} keys are counted, and not shown: their crops are gone. ` : '') +
      'BatchNorms use their running statistics.',
  };
};

export const explain = { nearest };
