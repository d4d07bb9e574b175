import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { hostTidy } from '../../electron/engine/host.ts';
import { makeRowsUnit } from '../../electron/engine/layers/unit-rows.ts';
import { weightedCrossEntropy } from '../../electron/engine/losses/cross-entropy.ts';
import { sinkhorn } from '../../electron/engine/losses/sinkhorn.ts';
import { Network } from '../../electron/engine/network.ts';
import { Value } from '../../electron/engine/tape.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import type { ModelConfig } from '../../shared/config.ts';

beforeAll(async () => {
  await loadBackend();
});

const [ROWS, COLUMNS] = [7, 11];
const random = stream(3, 0, 0, 'scores');
const scores = Float32Array.from({ length: ROWS * COLUMNS }, () => 2 * random.next() - 1);
const codesOf = (epsilon: number, iterations: number) =>
  hostTidy(() => sinkhorn(tf.tensor2d(scores, [ROWS, COLUMNS]), { epsilon, iterations }));

/** The same in double precision, as the paper writes it: columns to 1 / K, rows to 1 / R, at last times R. */
function expected(epsilon: number, iterations: number): number[][] {
  let q = Array.from({ length: ROWS }, (_, r) =>
    Array.from(scores.subarray(r * COLUMNS, (r + 1) * COLUMNS), (s) => Math.exp(s / epsilon)),
  );
  for (let i = 0; i < iterations; i++) {
    const columns = q[0]!.map((_, k) => q.reduce((sum, row) => sum + row[k]!, 0));
    q = q.map((row) => row.map((v, k) => v / columns[k]! / COLUMNS));
    q = q.map((row) => row.map((v) => v / row.reduce((a, b) => a + b) / ROWS));
  }
  return q.map((row) => row.map((v) => v * ROWS));
}

test.each([
  [0.05, 3],
  [0.05, 1],
  [0.5, 10],
])('codes at epsilon %d after %d iterations are those of the definition', (epsilon, iterations) => {
  const want = expected(epsilon, iterations).flat();
  for (const [i, v] of codesOf(epsilon, iterations).entries()) expect(Math.abs(v - want[i]!)).toBeLessThan(2e-6);
});

test('rows sum to one, columns are used alike in the end, and a tiny epsilon makes no 0/0', () => {
  const codes = codesOf(0.5, 100);
  for (let k = 0; k < COLUMNS; k++) {
    let sum = 0;
    for (let r = 0; r < ROWS; r++) sum += codes[r * COLUMNS + k]!;
    expect(sum).toBeCloseTo(ROWS / COLUMNS, 4);
  }
  const sharp = codesOf(0.002, 3);
  for (let r = 0; r < ROWS; r++)
    expect(sharp.subarray(r * COLUMNS, (r + 1) * COLUMNS).reduce((a, b) => a + b)).toBeCloseTo(1, 4);
});

test('a weighted cross-entropy is the sum of its rows', () => {
  const logits = [
    [1, 2, -1],
    [0.5, 0, 0.25],
  ];
  const targets = [
    [0.2, 0.1, 0],
    [0, 1.5, 0.5],
  ];
  const want = logits.reduce((sum, row, i) => {
    const all = Math.log(row.reduce((s, v) => s + Math.exp(v / 0.1), 0));
    return sum + row.reduce((s, v, k) => s - targets[i]![k]! * (v / 0.1 - all), 0);
  }, 0);
  const [got] = hostTidy(
    () => weightedCrossEntropy(new Value(tf.tensor2d(logits)), () => tf.tensor2d(targets), 0.1).tensor,
  );
  expect(got! / want).toBeCloseTo(1, 6);
});

test('rows of a matrix are brought to unit length in place, and products see it', () => {
  const before = tf.memory().numTensors;
  const spec = { name: 'p.weight', shape: [2, 2], decay: true, init: { kind: 'constant', value: 1 } } as const;
  const state = new Map([['p.weight', { shape: [2, 2], data: Float32Array.of(3, 4, 0, -2) }]]);
  const network = new Network(
    { model: {} as ModelConfig, parameters: [{ ...spec, shape: [2, 2] }], buffers: [] },
    state,
  );
  network.weights.matrix('p.weight');
  tf.tidy(() => makeRowsUnit(network, 'p.weight'));
  const want = [0.6, 0.8, 0, -1];
  for (const tensor of [network.weights.get('p.weight'), network.weights.matrix('p.weight')])
    for (const [i, v] of tensor.dataSync().entries()) expect(v).toBeCloseTo(want[i]!, 6);
  network.dispose();
  expect(tf.memory().numTensors).toBe(before);
});
