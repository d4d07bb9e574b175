import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { batchNormalize, batchNormalizePlain } from '../../electron/engine/kernels/batch-norm.ts';
import { gatherRows } from '../../electron/engine/kernels/gather-rows.ts';
import { gelu, geluPlain } from '../../electron/engine/kernels/gelu.ts';
import { layerNorm, layerNormPlain } from '../../electron/engine/kernels/layer-norm.ts';
import { loadBackend } from '../../electron/trainer/backend.ts';

beforeAll(async () => {
  await loadBackend();
});

/** Values and gradients of two versions of a kernel, at the same inputs and the same upstream gradient. */
function compare(fast: (...x: tf.Tensor[]) => tf.Tensor, plain: (...x: tf.Tensor[]) => tf.Tensor, inputs: tf.Tensor[]) {
  const before = tf.memory().numTensors;
  tf.tidy(() => {
    const dy = tf.randomNormal(plain(...inputs).shape, 0, 1, 'float32', 7);
    const a = tf.valueAndGrads(fast)(inputs, dy);
    const b = tf.valueAndGrads(plain)(inputs, dy);
    for (const [x, y] of [[a.value, b.value], ...a.grads.map((g, i) => [g, b.grads[i]!])] as [tf.Tensor, tf.Tensor][]) {
      expect(x.shape).toEqual(y.shape);
      expect(tf.max(tf.abs(tf.sub(x, y))).dataSync()[0]!).toBeLessThan(2e-5);
    }
  });
  expect(tf.memory().numTensors).toBe(before);
}

const normal = (shape: number[], seed: number) => tf.randomNormal(shape, 0.3, 1.5, 'float32', seed);

describe('kernels equal their plain versions, values and gradients', () => {
  test('LayerNorm', () => {
    const eps = 1e-6;
    compare(
      (x, w, b) => layerNorm(x!, w!, b!, eps),
      (x, w, b) => layerNormPlain(x!, w!, b!, eps),
      [normal([5, 7, 24], 1), normal([24], 2), normal([24], 3)],
    );
  });
  test('GELU', () =>
    compare(
      (x) => gelu(x!),
      (x) => geluPlain(x!),
      [normal([6, 33], 4)],
    ));
  test('BatchNorm', () => {
    const eps = 1e-5;
    compare(
      (x) => batchNormalize(x as tf.Tensor2D, eps),
      (x) => batchNormalizePlain(x as tf.Tensor2D, eps),
      [normal([40, 9], 5)],
    );
  });
  test('gather of rows, repeated ones too', () => {
    const index = Int32Array.of(3, 0, 3, 1, 3);
    compare(
      (t) => gatherRows(t as tf.Tensor2D, index),
      (t) => tf.matMul(tf.cast(tf.oneHot(tf.tensor1d(index, 'int32'), 4), 'float32'), t as tf.Tensor2D),
      [normal([4, 3], 6)],
    );
  });
});

test('GELU at hand-worked values: x Phi(x)', () => {
  // Phi(1) = .8413447461, Phi(-2) = .0227501319 (tables of the normal distribution)
  const y = tf.tidy(() => gelu(tf.tensor1d([0, 1, -2])).dataSync());
  expect(y[0]).toBe(0);
  expect(y[1]).toBeCloseTo(0.8413447, 6);
  expect(y[2]).toBeCloseTo(-0.0455003, 6);
});
