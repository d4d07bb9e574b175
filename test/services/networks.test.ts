import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { Networks } from '../../electron/services/ground/networks.ts';
import type { Store } from '../../electron/store/store.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';

await loadBackend();
const config = runConfigSchema.parse({
  model: { image_size: 32, patch_size: 8, embed_dim: 16, depth: 1, num_heads: 2 },
  projector: { hidden: 16, out: 8 },
});

test('a network is loaded once while it is asked for; of many the oldest go, and their tensors with them', () => {
  const read: string[] = [];
  const load = (id: number, part: string) => {
    read.push(`${id} ${part}`);
    return untrainedState({ ...config, train: { ...config.train, seed: id } });
  };
  const networks = new Networks({ checkpoints: { load } } as unknown as Store);
  const checkpoint = (id: number, created_at = 1) => ({ id, created_at, config });
  const before = tf.memory().numTensors;
  const first = networks.of(checkpoint(1), 'student');
  const each = tf.memory().numTensors - before;
  expect(each).toBeGreaterThan(0);
  expect(networks.of(checkpoint(1), 'student')).toBe(first);
  expect(networks.of(checkpoint(1), 'untrained')).not.toBe(first);
  expect(read).toEqual(['1 student']);
  // Deleted, and another checkpoint has its number.
  expect(networks.of(checkpoint(1, 2), 'student')).not.toBe(first);
  for (let id = 2; id < 20; id++) {
    networks.of(checkpoint(1), 'student'); // in use all the time
    networks.of(checkpoint(id), 'teacher');
  }
  expect(networks.of(checkpoint(1), 'student')).toBe(first);
  expect(read.filter((one) => one === '1 student')).toHaveLength(2);
  expect(tf.memory().numTensors - before).toBe(5 * each);
  networks.close();
  expect(tf.memory().numTensors).toBe(before);
});

test('of a method’s own questions the network has all its heads; a classifier has none of them', () => {
  const state = untrainedState(config);
  const networks = (part = state) => new Networks({ checkpoints: { load: () => part } } as unknown as Store);
  const asked = { id: 1, created_at: 1, config };
  const both = networks();
  const whole = both.whole(asked, 'student');
  expect(both.whole(asked, 'student')).toBe(whole);
  expect(both.of(asked, 'student')).not.toBe(whole);
  expect(new Set([...whole.tensors()].map(([name]) => name))).toEqual(new Set(state.keys()));
  both.close();
  const classifier = new Map([...state, ['head.weight', { shape: [2, 16], data: new Float32Array(32) }]]);
  expect(() => networks(classifier).whole(asked, 'student')).toThrow('fine-tuned classifier');
});
