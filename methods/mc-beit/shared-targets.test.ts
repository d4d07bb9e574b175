import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { hostCopy } from '../../electron/engine/host.ts';
import { Tokens } from '../../electron/engine/layers/tokens.ts';
import { differentiate, record, type Value } from '../../electron/engine/tape.ts';
import { Gradients } from '../../electron/engine/weights.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { expectDifferences } from '../../test/engine/differences.ts';
import { type SharingConfig, sharedCrossEntropy } from './shared-targets.ts';

await loadBackend();

const [BATCH, K, DIM, V] = [2, 4, 3, 5];
const MASKED = Int32Array.of(1, 3, 4, 5, 6);
const numbers = (name: string, count: number) => {
  const random = stream(3, 0, 0, name);
  return Float32Array.from({ length: count }, () => random.next() * 2 - 1);
};
const softmax = (row: readonly number[]) => {
  const raised = row.map((x) => Math.exp(x - Math.max(...row)));
  return raised.map((x) => x / raised.reduce((a, b) => a + b, 0));
};
const rowsOf = (data: ArrayLike<number>, width: number) =>
  Array.from({ length: data.length / width }, (_, i) => Array.from({ length: width }, (_, j) => data[i * width + j]!));
const OWN = rowsOf(
  numbers('own', BATCH * K * V).map((x) => 3 * x),
  V,
).map(softmax);

/** In double precision, patch by patch, as the paper writes it. @param likeness features that weights are made of */
function lossOf(features: number[][], said: number[][], config: SharingConfig, likeness = features) {
  let [loss, entropy] = [0, 0];
  for (const [m, row] of MASKED.entries()) {
    const first = row - (row % K);
    const unit = (x: number[]) => x.map((v) => v / Math.hypot(...x));
    const u = likeness.slice(first, first + K).map(unit);
    const mine = u[row % K]!;
    const weights = softmax(
      u.map((other) => other.reduce((sum, v, d) => sum + v * mine[d]!, 0) / config.similarity_temperature),
    );
    const log = softmax(said[m]!).map(Math.log);
    for (let v = 0; v < V; v++) {
      const mixed = weights.reduce((sum, w, j) => sum + w * OWN[first + j]![v]!, 0);
      const z = config.omega * mixed + (1 - config.omega) * OWN[row]![v]!;
      loss -= (z * log[v]!) / MASKED.length;
      entropy -= (z * Math.log(z)) / MASKED.length;
    }
  }
  return { loss, entropy };
}

describe.each([
  { omega: 0.2, similarity_temperature: 1, through_similarity: true },
  { omega: 0.7, similarity_temperature: 0.3, through_similarity: true },
  { omega: 0.7, similarity_temperature: 0.3, through_similarity: false },
])('shared targets, %j', (config) => {
  const state: StateDict = new Map([
    ['features', { shape: [BATCH * K, DIM], data: numbers('features', BATCH * K * DIM) }],
    ['said', { shape: [MASKED.length, V], data: numbers('said', MASKED.length * V) }],
  ]);
  const before = tf.memory().numTensors;
  const gradients = new Gradients();
  const own = tf.tensor2d(OWN.flat(), [BATCH * K, V]);
  const { loss, figures } = differentiate(gradients, 1, () => {
    const leaf = (name: string) => {
      const { shape, data } = state.get(name)!;
      const tensor = tf.tensor2d(data, shape as [number, number]);
      return record(new Tokens(tensor, name === 'features' ? BATCH : 1), (d) => gradients.add(name, d));
    };
    return sharedCrossEntropy(leaf('features'), leaf('said') as Value<tf.Tensor2D>, own, MASKED, config);
  });
  own.dispose();
  const found: StateDict = new Map(
    [...gradients.tensors].map(([name, tensor]) => [name, { shape: tensor.shape, data: hostCopy(tensor) }]),
  );
  gradients.dispose();
  const rows = (of: StateDict, name: string, width: number) => rowsOf(of.get(name)!.data, width);
  const at = (of: StateDict, likeness = of) =>
    lossOf(rows(of, 'features', DIM), rows(of, 'said', V), config, rows(likeness, 'features', DIM));

  test('loss and entropy of the targets are those of the paper', () => {
    expect(loss).toBeCloseTo(at(state).loss, 5);
    expect(figures.target_entropy).toBeCloseTo(at(state).entropy, 5);
    expect(figures.mixing).toBeGreaterThan(1);
    expect(tf.memory().numTensors).toBe(before);
  });

  test('gradients are those of differences, through the likeness unless it is stopped', () => {
    const fixed = config.through_similarity ? undefined : state;
    const names = config.through_similarity ? ['features', 'said'] : ['said'];
    expectDifferences(state, found, (moved) => at(moved, fixed).loss, { names, by: 1e-3, within: 1e-3, floor: 1e-4 });
    if (!config.through_similarity) expect(found.get('features')!.data.every((v) => v === 0)).toBe(true);
  });
});
