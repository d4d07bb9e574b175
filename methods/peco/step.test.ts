import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { beyond, compared, replayed, unlike } from '../../test/harness/fixture.ts';
import { replay } from './replay.ts';

// Quantizers and networks of published code (taming-transformers, beit2), with PeCo's loss, in PyTorch, fp32, CPU.
await loadBackend();

describe.each(['visible-1', 'visible-2'])('PeCo beside published quantizers and networks: %s', (name) => {
  const from = join(import.meta.dirname, 'fixture', name);
  const to = mkdtempSync(join(tmpdir(), 'peco-'));
  let out: ReturnType<typeof replayed>;
  let tensors = 0;
  beforeAll(() => {
    const before = tf.memory().numTensors;
    out = replayed(replay(), from, to);
    tensors = tf.memory().numTensors - before;
  });
  afterAll(() => rmSync(to, { recursive: true }));

  test('losses, perplexities and gradient norms', () => {
    const keys = ['loss', 'terms', 'pixel', 'perceptual', 'commitment', 'perplexity', 'largest_code', 'used'];
    for (const part of ['ema', 'norm', 'features'])
      expect(unlike(out.result[part], out.said[part], keys), part).toEqual([]);
    const { steps } = out.result.tokenizer;
    expect(unlike(steps, out.said.tokenizer.steps, [...keys, 'grad_norm_before_clip'])).toEqual([]);
  });

  test('gradients, features, tokens and final states', () => {
    const all = compared(from, to);
    expect(all.length).toBeGreaterThan(50);
    expect(beyond(all)).toEqual([]);
  });

  test('no tensor is left behind', () => expect(tensors).toBe(0));
});
