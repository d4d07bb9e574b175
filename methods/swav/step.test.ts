import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { replayed } from '../../test/methods/fixture-checks.ts';

await loadBackend();

// BatchNorm cancels these: their true gradient is zero.
const noise = ['projection_head.0.bias', 'encoder.norm.bias'];

test.each(['visible-1', 'visible-2', 'vit-1'])(
  'losses, gradients, codes, queues and states are those of the published code: %s',
  async (name) => {
    const before = tf.memory().numTensors;
    const normBias = name.startsWith('vit') ? { normBias: 'encoder.norm.bias' } : {};
    const says = ['grad_norm_before_clip', 'code_entropy', 'prototypes_used', 'agreement'];
    expect(await replayed(join(import.meta.dirname, 'fixture', name), { noise, says, ...normBias })).toEqual([]);
    expect(tf.memory().numTensors).toBe(before);
  },
);
