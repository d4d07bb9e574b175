import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { requireFinite, requireFiniteTensor } from '../../electron/engine/finite.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { placesOf } from '../../electron/trainer/fine-tuning.ts';
import { lookup, lookupRanks } from '../../methods/conmim/contrast.ts';

await loadBackend();
const image = { temperature: 0.1, dictionary: 'image' } as const;

/** Three images of two patches; the keys of the first two are one image's. */
const keys = () =>
  tf.tensor3d([
    [
      [1, 0],
      [0, 1],
    ],
    [
      [1, 0],
      [0, 1],
    ],
    [
      [0, 1],
      [1, 0],
    ],
  ]);

test('the control leaves out images whose neighbour in the batch is themselves, and is null where all are', () => {
  const [queries, known, mask] = [keys(), keys(), tf.ones([3, 2]) as tf.Tensor2D];
  // Of the three, the first finds its place among the second's keys; the others' are turned round.
  expect(lookup(queries, known, mask, image)).toMatchObject({ top1: 1, top1_control: expect.closeTo(1 / 3) });
  expect(lookup(queries, known, mask, image, [false, true, true]).top1_control).toBeCloseTo(0);
  expect(lookup(queries, known, mask, image, [true, true, true]).top1_control).toBeCloseTo(1 / 3);
  expect(lookup(queries, known, mask, image, [false, false, false])).toMatchObject({ top1: 1, top1_control: null });
  expect(lookup(queries, known, mask, { ...image, dictionary: 'batch' }, [true, false, true]).top1_control).toBeCloseTo(
    0.5,
  );
});

test('what is no number is found nowhere, and is refused where a figure would be made of it', () => {
  const [queries, known] = [keys(), keys()];
  const bad = tf.mul(queries, Number.NaN) as tf.Tensor3D;
  expect([...lookupRanks(bad, known, image).dataSync()]).toEqual(Array(6).fill(1)); // the last of two
  expect([...lookupRanks(queries, known, image).dataSync()]).toEqual(Array(6).fill(0));
  const equal = tf.ones([1, 3, 2]) as tf.Tensor3D;
  expect([...lookupRanks(equal, equal, image).dataSync()]).toEqual([2, 2, 2]); // a tie counts against the query
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    expect(() => requireFinite(Float32Array.of(1, value), 'Features')).toThrow('Features are not finite numbers');
    expect(() => requireFiniteTensor(tf.tensor1d([1, value]), 'Features')).toThrow('not finite');
  }
  expect(requireFinite(Float32Array.of(3e38, -0), 'Features')).toHaveLength(2);
});

test('a classifier that says the same of all classes is right for one of them, and not for all', () => {
  expect(placesOf(Float32Array.of(0.1, 0.7, 0.2))).toEqual([1, 2, 0]);
  const same = placesOf(Float32Array.of(0, 0, 0, 0, 0, 0));
  const found = [0, 1, 2, 3, 4, 5].map((truth) => same.indexOf(truth));
  expect(found.filter((place) => place === 0)).toHaveLength(1);
  expect(found.filter((place) => place < 5)).toHaveLength(5);
});
