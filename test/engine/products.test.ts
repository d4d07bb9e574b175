import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { measureSizes } from '../../electron/bench/step.ts';
import { isCompiled, useCompiledKernels } from '../../electron/engine/kernels/device.ts';
import { matMul } from '../../electron/engine/kernels/matrices.ts';
import { countProducts } from '../../electron/engine/profile.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { METHODS, parseRunConfig } from '../../methods/index.ts';

let hasKernels = false;
beforeAll(async () => {
  await loadBackend();
  hasKernels = isCompiled();
});

test('each product counts 2 m n k, in stacks and with either operand turned', () => {
  const count = (act: () => tf.Tensor) => countProducts(() => act().dispose());
  const [a, b, t] = [tf.zeros([3, 5]), tf.zeros([5, 7]), tf.zeros([7, 5])] as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
  expect(count(() => matMul(a, b))).toBe(2 * 3 * 5 * 7);
  expect(count(() => matMul(a, t, { transposeB: true }))).toBe(2 * 3 * 5 * 7);
  expect(count(() => matMul(a, tf.zeros([3, 4]) as tf.Tensor2D, { transposeA: true }))).toBe(2 * 5 * 3 * 4);
  const stack = () => tf.matMul(tf.zeros([2, 6, 3, 5]), tf.zeros([2, 6, 4, 5]), false, true);
  expect(count(stack)).toBe(2 * 12 * 3 * 5 * 4);
  expect(count(() => tf.add(a, 1))).toBe(0);
});

test('what is counted is done, and what fails leaves nothing behind', () => {
  let seen = 0;
  countProducts(() => {
    seen = (tf.matMul(tf.ones([2, 3]), tf.ones([3, 2])).dataSync() as Float32Array)[0]!;
  });
  expect(seen).toBe(3);
  expect(() =>
    countProducts(() => {
      throw new Error('no');
    }),
  ).toThrow('no');
  expect(Object.hasOwn(tf.backend(), 'getInputTensorIds')).toBe(false);
});

/** By hand, of one image: a linear layer forward takes two for each weight and row; a way back by both operands twice that. */
const linear = (rows: number, from: number, to: number, times: number) => 2 * rows * from * to * times;
const both = 3;
const forward = 1;

interface Blocks {
  tokens: number;
  width: number;
  depth: number;
  times: 1 | 3;
}
/** A transformer whose MLP is four times as wide: qkv, projection, two layers; logits and values by n² each, backwards five such. */
const transformer = ({ tokens: n, width: d, depth, times }: Blocks) =>
  depth *
  (linear(n, d, 3 * d, times) +
    linear(n, d, d, times) +
    linear(n, d, 4 * d, times) +
    linear(n, 4 * d, d, times) +
    2 * n * n * d * (times === 1 ? 2 : 2 + 5));

const MODEL = { image_size: 16, patch_size: 4, embed_dim: 12, depth: 3, num_heads: 2, layer_scale_init: 0.1 };
const [K, PIXELS, d] = [16, 3 * 4 ** 2, 12];
const HAND: Record<string, [config: object, count: number]> = {
  // The student's tokens and projector forward and back, the teacher's forward; keys by queries, back to the queries, and
  // once more for the share of look-ups that are right, among own and another image's keys.
  conmim: [
    {
      projector: { layers: 2, hidden: 10, out: 6 },
      mask: { kind: 'uniform', ratio: 0.5 },
    },
    linear(K, PIXELS, d, 2 + forward) +
      transformer({ tokens: 1 + K, width: d, depth: 3, times: both }) +
      transformer({ tokens: 1 + K, width: d, depth: 3, times: forward }) +
      (linear(1 + K, d, 10, both + forward) + linear(1 + K, 10, 6, both + forward)) +
      linear(K, 6, K, 2 + 2),
  ],
  // A quarter of the patches in the encoder, all in the decoder.
  mae: [
    { mask: { ratio: 0.75 }, decoder: { embed_dim: 8, depth: 2, num_heads: 2 } },
    linear(4, PIXELS, d, 2) +
      transformer({ tokens: 1 + 4, width: d, depth: 3, times: both }) +
      linear(5, d, 8, both) +
      transformer({ tokens: 1 + K, width: 8, depth: 2, times: both }) +
      linear(1 + K, 8, PIXELS, both),
  ],
};

describe.each(METHODS.filter(({ name }) => name in HAND).map(({ name }) => name))('a step of %s', (name) => {
  test.each([true, false])('takes what was counted by hand (compiled kernels: %s)', (kernels) => {
    if (kernels && !hasKernels) return;
    const [sections, count] = HAND[name]!;
    const config = parseRunConfig({ ...sections, method: { name }, model: MODEL, train: { batch_size: 4 } });
    useCompiledKernels(kernels);
    try {
      const [cost] = measureSizes(config, [4], 1);
      expect(cost!.flops).toBe(count);
    } finally {
      useCompiledKernels(hasKernels);
    }
  });
});
