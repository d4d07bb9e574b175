import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { ratesAt } from '../../electron/engine/schedule.ts';
import { type EngineOptions, Trainer } from '../../electron/engine/trainer.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { featureHealth } from '../../electron/trainer/feature-health.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { type ConMIMBatch, type ConMIMConfig, step as conmim } from '../../methods/conmim/step.ts';

beforeAll(async () => {
  await loadBackend();
});

const small = (over: Record<string, object> = {}) =>
  runConfigSchema.parse({
    ...over,
    model: { image_size: 16, patch_size: 4, embed_dim: 16, depth: 1, num_heads: 2, ...over.model },
    projector: { hidden: 16, out: 8, ...over.projector },
    mask: { kind: 'uniform' },
  });
const rates = { lr: 1e-3, weight_decay: 0.05, momentum: 0.9 };

function batch(seed: number, images = 4): ConMIMBatch {
  const random = stream(seed, 0, 0, 'test batch');
  const noise = () => Float32Array.from({ length: images * 16 * 16 * 3 }, () => random.uniform(-1, 1));
  return {
    views: { student: noise(), teacher: noise() },
    mask: Float32Array.from({ length: images * 16 }, (_, i) => (i % 4 === 0 ? 0 : 1)),
  };
}

type ConMIMTrainer = Trainer<ConMIMConfig, ConMIMBatch>;
let engine: ConMIMTrainer | null = null;
afterEach(() => {
  engine?.dispose();
  engine = null;
});
function make(config = small(), options: EngineOptions = {}): ConMIMTrainer {
  const state = untrainedState(config);
  engine = new Trainer(conmim, config, state, state, options);
  return engine;
}

test('no tensor is left behind, by steps or by dispose', () => {
  const before = tf.memory().numTensors;
  const e = make();
  e.step([batch(1), batch(2)], rates);
  const after = tf.memory();
  for (let i = 0; i < 20; i++) e.step([batch(i), batch(i + 1)], rates, { show: () => {}, onGradients: () => {} });
  expect(tf.memory().numTensors).toBe(after.numTensors);
  expect(tf.memory().numBytes).toBe(after.numBytes);
  e.dispose();
  engine = null;
  expect(tf.memory().numTensors).toBe(before);
});

test('two micro-batches give the mean of their gradients', () => {
  const parts = [batch(1), batch(2)].map((b) => {
    let gradient: Float32Array | undefined;
    make().step([b], rates, {
      onGradients: (g) => {
        gradient = g.get('blocks.0.mlp.fc1.weight')!.data;
      },
    });
    engine!.dispose();
    engine = null;
    return gradient!;
  });
  make().step([batch(1), batch(2)], rates, {
    onGradients: (g) => {
      const got = g.get('blocks.0.mlp.fc1.weight')!.data;
      for (const [i, v] of got.entries()) expect(v).toBeCloseTo((parts[0]![i]! + parts[1]![i]!) / 2, 5);
    },
  });
  expect.hasAssertions();
});

describe('the asymmetric design is configuration', () => {
  const difference = (e: ConMIMTrainer) => {
    const { student, teacher } = e.state();
    return student
      .get('blocks.0.mlp.fc1.weight')!
      .data.reduce((a, v, i) => Math.max(a, Math.abs(v - teacher.get('blocks.0.mlp.fc1.weight')!.data[i]!)), 0);
  };
  test('momentum none: teacher and student share their weights', () => {
    const config = small({ momentum: { schedule: 'none' } });
    const e = make(config);
    e.step([batch(1)], { ...ratesAt(config, 5, 10, 1), lr: 1e-3 });
    expect(difference(e)).toBe(0);
  });
  test('momentum: the teacher lags', () => {
    const e = make();
    e.step([batch(1)], rates);
    expect(difference(e)).toBeGreaterThan(0);
  });
});

/** Gradients of one step, all in one row. */
function gradientsOf(options: EngineOptions, position: 'absolute' | 'shared-relative-bias' = 'absolute'): number[] {
  const config = small({ model: { depth: 3, position, layer_scale_init: 1 } });
  let all: number[] = [];
  const e = make(config, options);
  // Where the scale of a loss begins, a first step in fp16 overflows, as it should: the scale is found by halving.
  if (options.precision === 'fp16') e.scaling = { scale: 256, stable: 0 };
  e.step([batch(1)], rates, {
    onGradients: (g) => {
      all = [...g.values()].flatMap(({ data }) => [...data]);
    },
  });
  engine!.dispose();
  engine = null;
  return all;
}
const distance = (a: number[], b: number[]) => Math.hypot(...a.map((v, i) => v - b[i]!)) / Math.hypot(...b);

test.each(['absolute', 'shared-relative-bias'] as const)(
  'recomputed blocks give the same gradients, bit for bit (%s)',
  (position) => {
    const kept = gradientsOf({}, position);
    expect(kept.length).toBeGreaterThan(1000);
    expect(gradientsOf({ recompute: true }, position)).toEqual(kept);
  },
);

const isTensorFlow = () => tf.getBackend() === 'tensorflow';
describe('mixed precision', () => {
  test.each([
    ['bf16', 0.15], // eight bits, and features that hardly differ yet
    ['fp16', 0.03],
  ] as const)('%s: gradients near those of fp32, and no tensor left', (precision, tolerance) => {
    if (!isTensorFlow()) return expect(tf.getBackend()).toBe('wasm');
    const before = tf.memory().numTensors;
    const off = distance(gradientsOf({ precision }), gradientsOf({}));
    expect(off).toBeGreaterThan(1e-5); // they are not computed in fp32 after all
    expect(off).toBeLessThan(tolerance);
    expect(tf.memory().numTensors).toBe(before);
  });
  test.each(['bf16', 'fp16'] as const)('%s learns', (precision) => {
    if (!isTensorFlow()) return expect(tf.getBackend()).toBe('wasm');
    const e = make(small({ model: { position: 'absolute', layer_scale_init: 1 } }), { precision });
    const first = e.step([batch(1)], { ...rates, lr: 1e-2 }).loss;
    let last = first;
    for (let i = 0; i < 60; i++) last = e.step([batch(1)], { ...rates, lr: 1e-2, momentum: 0.99 }).loss;
    expect(last).toBeLessThan(0.8 * first);
  });
  test('fp16: a scale that overflows leaves the step out, and is halved', () => {
    if (!isTensorFlow()) return expect(tf.getBackend()).toBe('wasm');
    const e = make(small(), { precision: 'fp16' });
    e.scaling = { scale: 2 ** 60, stable: 5 };
    const before = e.state().student.get('norm.weight')!.data;
    expect(e.step([batch(1)], rates).grad_norm).toBe(0);
    expect(e.state().updates).toBe(0);
    expect(e.state().student.get('norm.weight')!.data).toEqual(before);
    expect(e.scaling).toEqual({ scale: 2 ** 59, stable: 0 });
  });
});

test('learns: the same batch again and again brings the loss down', () => {
  const e = make(small({ model: { position: 'absolute', layer_scale_init: 1 } }));
  const first = e.step([batch(1)], { ...rates, lr: 1e-2 }).loss;
  let last = first;
  for (let i = 0; i < 60; i++) last = e.step([batch(1)], { ...rates, lr: 1e-2, momentum: 0.99 }).loss;
  expect(last).toBeLessThan(0.8 * first);
});

test('a loss that is not finite changes nothing', () => {
  const e = make();
  const before = e.state();
  const bad = batch(1);
  (bad.views.student as Float32Array).fill(Number.NaN);
  expect(e.step([bad], rates).loss).toBeNaN();
  const after = e.state();
  expect(after.student.get('blocks.0.mlp.fc1.weight')).toEqual(before.student.get('blocks.0.mlp.fc1.weight'));
  expect(after.updates).toBe(0);
});

test('effective rank and mean cosine at known values', () => {
  const width = 6;
  const eye = Float32Array.from({ length: 2 * width * width }, (_, i) =>
    (i % (width * width)) % (width + 1) === 0 ? 1 : 0,
  );
  // One direction a row: the mean takes one dimension away, and the others count the same.
  expect(featureHealth(eye, width).rank).toBeCloseTo(width - 1, 4);
  const same = Float32Array.from({ length: 10 * width }, (_, i) => (i % width === 0 ? 1 : 0));
  expect(featureHealth(same, width)).toMatchObject({ rank: 1, cosine: 1 });
});
