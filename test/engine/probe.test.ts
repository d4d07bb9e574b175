import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import {
  accuracyOf,
  confusionOf,
  knnPredictions,
  type LabelledFeatures,
  linearPredictions,
} from '../../electron/engine/probe.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';

const WIDTH = 6;

/** Clouds around axis `label`; some rows of class 1 lie in class 2's cloud. */
function clouds(perClass: number, misplaced: number, name: string): LabelledFeatures {
  const random = stream(1, 0, 0, name);
  const rows = [0, 1, 2].flatMap((label) =>
    Array.from({ length: perClass }, (_, i) => {
      const axis = label === 1 && i < misplaced ? 2 : label;
      return { label, values: Array.from({ length: WIDTH }, (_, d) => (d === axis ? 1 : 0) + 0.1 * random.next()) };
    }),
  );
  return {
    features: Float32Array.from(rows.flatMap(({ values }) => values)),
    labels: Int32Array.from(rows, ({ label }) => label),
    width: WIDTH,
  };
}

/** Cosine k-NN with weighted votes, one row at a time. */
function plainKnn(train: LabelledFeatures, test: LabelledFeatures, k: number): number[] {
  const row = (of: LabelledFeatures, i: number) => of.features.subarray(i * WIDTH, (i + 1) * WIDTH);
  const cosine = (a: Float32Array, b: Float32Array) => {
    const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, v, i) => sum + v * y[i]!, 0);
    return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  };
  return Array.from(test.labels, (_, i) => {
    const near = Array.from(train.labels, (label, j) => ({ label, s: cosine(row(test, i), row(train, j)) }))
      .sort((a, b) => b.s - a.s)
      .slice(0, k);
    const votes = [0, 0, 0];
    for (const { label, s } of near) votes[label]! += Math.exp(s / 0.07);
    return votes.indexOf(Math.max(...votes));
  });
}

describe('classes by frozen features', () => {
  beforeAll(async () => {
    await loadBackend();
  });
  const [train, held] = [clouds(20, 0, 'train'), clouds(10, 4, 'test')];

  test.each([1, 5, 1000])('k-NN answers as a plain loop does, k %i', (k) => {
    expect([...knnPredictions(train, held, 3, k)]).toEqual(plainKnn(train, held, Math.min(k, 60)));
  });

  test('leaves no tensor', () => {
    const before = tf.memory().numTensors;
    linearPredictions(train, held, 3, { steps: 3, lr: 0.05, weightDecay: 0.1 });
    expect(tf.memory().numTensors).toBe(before);
  });

  test('misplaced rows are where the confusion says', () => {
    for (const found of [
      knnPredictions(train, held, 3, 5),
      linearPredictions(train, held, 3, { steps: 200, lr: 0.05, weightDecay: 0 }),
    ]) {
      expect(confusionOf(found, held.labels, 3)).toEqual([
        [10, 0, 0],
        [0, 6, 4],
        [0, 0, 10],
      ]);
      expect(accuracyOf(found, held.labels)).toBeCloseTo(26 / 30, 9);
    }
  });
});
