import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { beyond, compared, replayed, unlike } from '../../test/harness/fixture.ts';
import { replay } from './replay.ts';

// What the published code gave (lixiaotong97/mc-BEiT), in PyTorch, fp32, CPU.
await loadBackend();

describe.each(['visible-1', 'visible-2'])('mc-BEiT beside the published code: %s', (name) => {
  const from = join(import.meta.dirname, 'fixture', name);
  const to = mkdtempSync(join(tmpdir(), 'mc-beit-'));
  let out: ReturnType<typeof replayed>;
  let tensors = 0;
  beforeAll(() => {
    const before = tf.memory().numTensors;
    out = replayed(replay(), from, to);
    tensors = tf.memory().numTensors - before;
  });
  afterAll(() => rmSync(to, { recursive: true }));

  test('losses, accuracy and gradient norms', () => {
    const { steps } = out.result;
    const keys = ['loss', 'mlm_acc', 'grad_norm_before_clip'];
    expect(unlike(steps, out.said.steps, keys)).toEqual([]);
    expect(steps).toHaveLength(out.said.steps.length);
  });

  test('gradients, features, tokens and final states', () => {
    const all = compared(from, to);
    expect(all.length).toBeGreaterThan(50);
    expect(beyond(all)).toEqual([]);
  });

  test('no tensor is left behind', () => expect(tensors).toBe(0));
});
