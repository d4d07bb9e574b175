import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { beyond, compared, replayed } from '../../test/harness/fixture.ts';
import { replay } from './replay.ts';

// What the published code gave (microsoft/unilm, beit; its discrete VAE), in PyTorch, fp32, CPU.
await loadBackend();

describe.each(['visible-1', 'visible-2'])('BEiT beside the published code: %s', (name) => {
  const from = join(import.meta.dirname, 'fixture', name);
  const to = mkdtempSync(join(tmpdir(), 'beit-'));
  let out: { steps: Record<string, number>[]; said: { steps: never[]; tokenizer: { steps: never[] } } };
  let tensors = 0;
  beforeAll(() => {
    const before = tf.memory().numTensors;
    out = replayed(replay(), from, to);
    tensors = tf.memory().numTensors - before;
  });
  afterAll(() => rmSync(to, { recursive: true }));

  const same = (got: Record<string, number>[], want: Record<string, number | null>[], keys: string[], by = 1e-5) => {
    expect(got).toHaveLength(want.length);
    for (const [i, step] of want.entries())
      for (const key of keys)
        if (step[key] !== null)
          expect(Math.abs(got[i]![key]! - step[key]!), key).toBeLessThanOrEqual(by * Math.abs(step[key]!));
  };

  test('losses, accuracy and gradient norms of the student', () => {
    same(out.steps, out.said.steps, ['loss', 'mlm_acc']);
    same(out.steps, out.said.steps, ['grad_norm_before_clip'], 1e-4);
  });

  test('losses and gradient norms of the tokenizer', () => {
    const { steps } = JSON.parse(readFileSync(join(to, 'tokenizer.json'), 'utf8'));
    same(steps, out.said.tokenizer.steps, ['loss', 'reconstruction']);
    // The divergence is stored as a difference of losses.
    same(steps, out.said.tokenizer.steps, ['kl', 'grad_norm'], 2e-4);
  });

  test('gradients, features, tokens and final states of both', () => {
    const all = compared(from, to);
    expect(all.length).toBeGreaterThan(100);
    expect(beyond(all)).toEqual([]);
  });

  test('no tensor is left behind', () => expect(tensors).toBe(0));
});
