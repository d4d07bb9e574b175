import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { ConMIM, type MicroBatch } from '../../electron/engine/conmim.ts';
import { loadBackend } from '../../electron/trainer/backend.ts';
import { featureHealth } from '../../electron/trainer/feature-health.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { runConfigSchema } from '../../shared/config.ts';

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

function batch(seed: number, images = 4): MicroBatch {
  const random = stream(seed, 0, 0, 'test batch');
  const noise = () => Float32Array.from({ length: images * 16 * 16 * 3 }, () => random.uniform(-1, 1));
  return {
    student: noise(),
    teacher: noise(),
    mask: Float32Array.from({ length: images * 16 }, (_, i) => (i % 4 === 0 ? 0 : 1)),
  };
}

let engine: ConMIM | null = null;
afterEach(() => {
  engine?.dispose();
  engine = null;
});
function make(config = small()): ConMIM {
  const state = untrainedState(config);
  engine = new ConMIM(config, state, state);
  return engine;
}

test('no tensor is left behind, by steps or by dispose', () => {
  const before = tf.memory().numTensors;
  const e = make();
  e.step([batch(1), batch(2)], rates);
  const after = tf.memory();
  for (let i = 0; i < 20; i++) e.step([batch(i), batch(i + 1)], rates, { onFeatures: () => {}, onGradients: () => {} });
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
  const difference = (e: ConMIM) => {
    const { student, teacher } = e.state();
    return student
      .get('blocks.0.mlp.fc1.weight')!
      .data.reduce((a, v, i) => Math.max(a, Math.abs(v - teacher.get('blocks.0.mlp.fc1.weight')!.data[i]!)), 0);
  };
  test('momentum none: teacher and student share their weights', () => {
    const e = make(small({ momentum: { schedule: 'none' } }));
    e.step([batch(1)], rates);
    expect(difference(e)).toBe(0);
  });
  test('momentum: the teacher lags', () => {
    const e = make();
    e.step([batch(1)], rates);
    expect(difference(e)).toBeGreaterThan(0);
  });
  test.each([
    { projector: { layers: 1 } },
    { projector: { layers: 4, hidden: 24 } },
    { model: { position: 'absolute' } },
    { model: { position: 'none' } },
    { model: { layer_scale_init: 0 } },
    { contrast: { dictionary: 'batch' } },
    { contrast: { temperature: 1 } },
  ])('%j trains', (over) => {
    const { loss, grad_norm } = make(small(over as Record<string, object>)).step([batch(1)], rates);
    expect(loss).toBeGreaterThan(0);
    expect(grad_norm).toBeGreaterThan(0);
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
  bad.student.fill(Number.NaN);
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
