import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, test } from 'vitest';
import { type MethodBenchOptions, timeAgainst } from '../../electron/bench/method.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';

beforeAll(async () => {
  await loadBackend();
});

const small: MethodBenchOptions = {
  model: 'vit-tiny',
  image: 32,
  patch: 8,
  batch: 2,
  steps: 2,
  set: ['decoder.embed_dim=16', 'decoder.depth=1', 'decoder.num_heads=2'],
  against: ['mask.ratio=0.1'],
};

test('times steps in turn, against those of other settings, and leaves no tensor', () => {
  const before = tf.memory().numTensors;
  const kinds = timeAgainst('mae', small);
  const common = small.set.join(' ');
  expect(kinds.map(({ settings }) => settings)).toEqual([`${common} mask.ratio=0.1`, common]);
  for (const { seconds, seconds_least, seconds_most, images_per_second, of_the_first, cpu_seconds } of kinds) {
    expect(seconds_least).toBeLessThanOrEqual(seconds);
    expect(seconds).toBeLessThanOrEqual(seconds_most);
    expect(images_per_second).toBeCloseTo(2 / seconds, 6);
    expect(of_the_first).toBeCloseTo(seconds / kinds[0]!.seconds, 6);
    expect(cpu_seconds).toBeGreaterThan(0);
  }
  expect(tf.memory().numTensors).toBe(before);
});

test.each([
  ['nothing', small, 'nothing'],
  ['mae', { ...small, model: 'vit' }, 'There is no model "vit".'],
  ['mae', { ...small, set: ['decoder.width=2'] }, 'There is no setting "decoder.width".'],
])('%s, refused: %o', (name, options, message) => {
  expect(() => timeAgainst(name, options)).toThrow(message);
});
