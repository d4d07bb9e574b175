import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { ratesAt } from '../../electron/engine/schedule.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { type Checked, replayed } from '../../test/methods/fixture-checks.ts';
import { metric } from '../../test/store/helpers.ts';
import { parseRunConfig } from '../index.ts';
import { method } from './method.ts';

// What the published code gave: its head with LARS on features (TensorFlow); and on MoCo v3's ViT, which is put together of
// published parts.
await loadBackend();

const SAYS = ['grad_norm_before_clip', 'contrast_acc', 'contrast_entropy'];
/** The BatchNorm behind CLS takes any shift out: what is stored of this gradient is rounding. */
const ON_VIT: Checked = { noise: ['norm.bias'], normBias: 'norm.bias', network: 'model', says: SAYS };

test.each([
  ['visible-1', { says: SAYS }],
  ['visible-2', { says: SAYS }],
  ['vit-visible', ON_VIT],
] as [string, Checked][])('beside the published code: %s', async (name, how) => {
  const before = tf.memory().numTensors;
  expect(await replayed(join(import.meta.dirname, 'fixture', name), how)).toEqual([]);
  expect(tf.memory().numTensors).toBe(before);
});

test('the rate rises and falls as published: 20 epochs of 1,000 images, 64 a step, 4 of warm-up', () => {
  const optimizer = { lr: 0.075, warmup_epochs: 0, warmup_steps: 62 };
  const config = parseRunConfig({ method: { name: 'simclr' }, optimizer });
  const points = [
    [0, 0],
    [1, 0.001209677429869771],
    [61, 0.07379032671451569],
    [62, 0.07500000298023224],
    [150, 0.05446188151836395],
    [312, 2.9370189622568432e-6],
  ];
  for (const [step, lr] of points)
    expect(ratesAt(config, step!, 313, 16, method.peakAfterWarmup).lr).toBeCloseTo(lr!, 7);
});

test('guessing, alarms, and what follows from micro-batches', () => {
  const config = parseRunConfig({ method: { name: 'simclr' }, train: { batch_size: 64, accumulation: 2 } });
  expect(method.chance(config)).toMatchObject({ loss: Math.log(127), figures: { accuracy: 1 / 64 } });
  expect(method.chance(config, { batch: 4096 }).loss).toBeCloseTo(9.01, 2);
  expect(method.notices(config, 0).join()).toContain('among the 128 of its micro-batch, not among the 256');
  const metrics = (loss: number, accuracy: number) =>
    Array.from({ length: 400 }, (_, i) => metric(i + 1, { loss, figures: { accuracy } }));
  const alarm = (loss: number) => method.alarm({ metrics: metrics(loss, 0), measured: null }, config)?.kind;
  expect(alarm(Math.log(127))).toBe('not-learning');
  expect(alarm(3)).toBeUndefined();
  expect(method.notes(metrics(0.1, 1), config).map(({ kind }) => kind)).toEqual(['views-alike']);
  expect(method.notes(metrics(3, 0.5), config)).toEqual([]);
  for (const { name, config: preset } of method.presets)
    expect(() => parseRunConfig({ method: { name: 'simclr' }, ...preset }), name).not.toThrow();
});
