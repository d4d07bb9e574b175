import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, test } from 'vitest';
import { cosineSchedule, ratesAt } from '../../electron/engine/schedule.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { contrastLoss, lookup, lookupRanks } from '../../methods/conmim/contrast.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';

beforeAll(async () => {
  await loadBackend();
});
const image = { temperature: 0.1, dictionary: 'image' } as const;
const batch = { temperature: 0.1, dictionary: 'batch' } as const;
const ones = () => tf.ones([2, 4]) as tf.Tensor2D;
/** Two images of four patches, each with its own direction. */
const distinct = () => tf.reshape(tf.eye(8), [2, 4, 8]) as tf.Tensor3D;
const value = (t: tf.Tensor) => t.dataSync()[0]!;

test('a network whose keys are all one sits at ln K and finds nothing', () => {
  const same = tf.tile(tf.tensor3d([1, 0, 0, 0, 0, 0, 0, 0], [1, 1, 8]), [2, 4, 1]) as tf.Tensor3D;
  expect(value(contrastLoss(same, same, ones(), image).loss)).toBeCloseTo(Math.log(4), 5);
  expect(value(contrastLoss(same, same, ones(), batch).loss)).toBeCloseTo(Math.log(8), 5);
  expect(lookup(same, same, ones(), image).top1).toBe(0);
});

test('a perfect student finds every key; the control, asked for another image, none', () => {
  const keys = distinct();
  const found = lookup(keys, keys, ones(), image);
  expect(found).toEqual({ top1: 1, top5: 1, top1_control: 0 });
  // -log(e^10 / (e^10 + 3)), by hand
  expect(value(contrastLoss(keys, keys, ones(), image).loss)).toBeCloseTo(Math.log(1 + 3 * Math.exp(-10)), 6);
  expect(value(contrastLoss(keys, keys, ones(), batch).loss)).toBeCloseTo(Math.log(1 + 7 * Math.exp(-10)), 6);
});

test('only masked patches count', () => {
  const keys = distinct();
  const queries = tf.concat(
    [tf.slice(keys, [0, 1, 0], [2, 1, 8]), tf.slice(keys, [0, 1, 0], [2, 3, 8])],
    1,
  ) as tf.Tensor3D; // patch 0 asks for patch 1
  const wrong = tf.tensor2d([1, 0, 0, 0, 1, 0, 0, 0], [2, 4]);
  expect(lookup(queries, keys, wrong, image).top1).toBe(0);
  expect(lookup(queries, keys, tf.sub(1, wrong) as tf.Tensor2D, image).top1).toBe(1);
  expect(Array.from(lookupRanks(queries, keys, image).dataSync())).toEqual([3, 0, 0, 0, 3, 0, 0, 0]); // ties count against
});

test('schedules: the published linspace and cosine, worked by hand', () => {
  // np.linspace(0, 4, 5), then 2 + (4-2)/2 * (1 + cos(pi i / 5))
  expect([0, 1, 2, 3, 4].map((s) => cosineSchedule(s, 10, 4, 2, 5))).toEqual([0, 1, 2, 3, 4]);
  expect(cosineSchedule(5, 10, 4, 2, 5)).toBe(4);
  expect(cosineSchedule(7, 10, 4, 2, 5)).toBeCloseTo(2 + 1 + Math.cos((2 * Math.PI) / 5), 12);
  const config = runConfigSchema.parse({ momentum: { schedule: 'none' } });
  expect(ratesAt(config, 0, 100, 10).momentum).toBe(0);
  expect(ratesAt(config, 99, 100, 10).weight_decay).toBe(0.05);
});
