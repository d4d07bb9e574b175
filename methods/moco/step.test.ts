import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { readSafetensors } from '../../electron/formats/safetensors.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { type Checked, replayed } from '../../test/methods/fixture-checks.ts';
import { parseRunConfig } from '../index.ts';

// What the published code gave (moco-v3; the queue of moco; MoBY's pair of queues; the queue on MoCo v3's ViT, which is put
// together of published parts).
await loadBackend();

const FIXTURES = join(import.meta.dirname, 'fixture');
const TERMS = ['loss_q1_k2', 'loss_q2_k1'];
/** The BatchNorm behind CLS takes any shift out: what is stored of this gradient is rounding. */
const V3: Checked = {
  noise: ['norm.bias', 'base_encoder.norm.bias'],
  normBias: 'norm.bias',
  network: 'base_encoder',
  says: [...TERMS, 'lookup_top1', 'grad_norm_before_clip'],
};
const QUEUE = ['top1', 'pointer_after'];

test.each([
  ['visible-2', V3],
  ['queue-visible-1', { says: [...QUEUE, 'grad_norm'] }],
  ['queue-visible-2', { says: [...QUEUE, 'grad_norm'] }],
  ['queue-pair-visible', { says: [...TERMS, 'grad_norm', 'pointer_after'] }],
  ['queue-vit-visible', { says: [...QUEUE, 'grad_norm_before_clip'] }],
] as [string, Checked][])('beside the published code: %s', async (name, how) => {
  const before = tf.memory().numTensors;
  expect(await replayed(join(FIXTURES, name), how)).toEqual([]);
  expect(tf.memory().numTensors).toBe(before);
});

test('fixed positions are built, the row first, not only loaded', () => {
  const from = join(FIXTURES, 'visible-2');
  const said = JSON.parse(readFileSync(join(from, 'fixture.json'), 'utf8'));
  const { image_size, patch_size, embed_dim, depth, num_heads } = said;
  const config = parseRunConfig({
    method: { name: 'moco' },
    model: { image_size, patch_size, embed_dim, depth, num_heads },
  });
  const built = untrainedState(config).get('pos_embed')!;
  const init = readSafetensors(join(from, 'base_encoder.init.safetensors')).tensors.get('pos_embed')!;
  expect(built.shape).toEqual(init.shape);
  built.data.forEach((v, i) => void expect(init.data[i]).toBeCloseTo(v, 5));
});
