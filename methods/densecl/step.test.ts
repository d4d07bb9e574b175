import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { Tokens } from '../../electron/engine/layers/tokens.ts';
import { Trainer } from '../../electron/engine/trainer.ts';
import { readSafetensors, writeSafetensors } from '../../electron/formats/safetensors.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { untrainedSource } from '../../electron/trainer/training.ts';
import { replayed } from '../../test/methods/fixture-checks.ts';
import { parseRunConfig } from '../index.ts';
import { ours } from './config.ts';
import { lambdaAt, matches, sharesOf, step } from './step.ts';

// What the published code gave: its heads, losses and queues on maps of features; and on the patch tokens of a ViT, which is put
// together of published parts.
await loadBackend();

const FIXTURES = join(import.meta.dirname, 'fixture');
const says = [
  ...['loss_global', 'loss_dense', 'unweighted_global', 'unweighted_dense', 'grad_norm_before_clip'],
  ...['lookup_global', 'lookup_dense', 'distinct_matches'],
];

test.each(['visible-2', 'vit-1'])('beside the published code: %s', async (name) => {
  const before = tf.memory().numTensors;
  expect(await replayed(join(FIXTURES, name), { says })).toEqual([]);
  expect(tf.memory().numTensors).toBe(before);
});

type Step = Record<'loss_lambda' | 'momentum', number>;
type Said = { temperature: number; steps: Step[] };
const firstStep = (over: Partial<Step>) => (said: Said) => ({
  ...said,
  steps: said.steps.map((one, i) => (i === 0 ? { ...one, ...over } : one)),
});
test.each([
  ['the temperature', (said: Said) => ({ ...said, temperature: said.temperature * 1.01 })],
  ['the weight of patches', firstStep({ loss_lambda: 0.7 })],
  ['the momentum', firstStep({ momentum: 0.99 })],
  ['one queue for both', sameQueues],
])('a fault is seen: %s', async (_, plant) => {
  const folder = mkdtempSync(join(tmpdir(), 'planted-'));
  cpSync(join(FIXTURES, 'visible-2'), folder, { recursive: true });
  const file = join(folder, 'fixture.json');
  writeFileSync(file, JSON.stringify(plant(JSON.parse(readFileSync(file, 'utf8')), folder)));
  const off = await replayed(folder, { says });
  rmSync(folder, { recursive: true });
  expect(off.length).toBeGreaterThan(0);
});

/** Gives the second queue what the first holds. */
function sameQueues(said: Said, folder: string): Said {
  const file = join(folder, 'queue.init.safetensors');
  const { tensors } = readSafetensors(file);
  writeSafetensors(file, tensors.set('queue2', tensors.get('queue')!), undefined, { replace: true });
  return said;
}

test('a patch is matched with the one of the largest cosine, whatever its length; with the first of several', () => {
  const rows = (values: number[][]) => new Tokens(tf.tensor2d(values), 2);
  const queries = rows([
    ...[[1, 0], [0, 2], [1, 1]], // biome-ignore format: an image a line
    ...[[3, 0], [-1, 0], [0, -1]], // biome-ignore format: an image a line
  ]);
  const keys = rows([
    ...[[0, 1], [5, 1], [0, 9]], // biome-ignore format: an image a line
    ...[[-1, 0], [-2, 0], [2, -1]], // biome-ignore format: an image a line
  ]);
  const { places, cosines } = matches(queries, keys);
  expect([...places]).toEqual([1, 0, 1, 2, 0, 2]);
  expect(cosines[2]).toBeCloseTo(6 / Math.sqrt(52), 6);
  expect(sharesOf(places, 3)).toEqual({ distinct: 4 / 6, same_place: 1 / 6 });
});

test('the first of several in a whole crop of one patch, too', () => {
  const alike = new Tokens(tf.ones([64, 16]) as tf.Tensor2D, 1);
  expect([...matches(alike, alike).places]).toEqual(new Array(64).fill(0));
});

test('lambda is 0 for the first steps: the loss is that of crops alone, and the head of patches has a gradient of zero', () => {
  const config = parseRunConfig({
    method: { name: 'densecl' },
    model: { image_size: 16, patch_size: 4, embed_dim: 8, depth: 1, num_heads: 2 },
    contrast: { queue: 8 },
    neck: { hidden: 8, out: 4 },
    dense: { lambda: 0.4, start_steps: 3 },
    train: { batch_size: 2 },
  });
  const own = ours(config);
  expect([0, 2, 3, 9].map((done) => lambdaAt(done, own))).toEqual([0, 0, 0.4, 0.4]);
  const images = (seed: number) => Float32Array.from({ length: 2 * 16 * 16 * 3 }, (_, i) => Math.sin(i * seed));
  const batch = { views: { first: images(1.7), second: images(2.3) } };
  for (const [done, lambda] of [
    [2, 0],
    [3, 0.4],
  ] as const) {
    // biome-ignore format: a step a pair
    const start = untrainedSource(config);
    const trainer = new Trainer(step, own, start, start);
    let gradient: Float32Array | undefined;
    const rates = { lr: 0.001, weight_decay: 0.1, momentum: 0.9 };
    const { loss, figures } = trainer.step([{ ...batch, step: done }], rates, {
      onGradients: (all) => {
        gradient = all.get('mlp2.0.weight')!.data;
      },
    });
    expect(loss).toBeCloseTo((1 - lambda) * figures.loss_global! + lambda * figures.loss_dense!, 5);
    expect(gradient!.some((v) => v !== 0)).toBe(lambda > 0);
    // Without a gradient it decays all the same.
    expect(trainer.networks.student.get('mlp2.0.weight')!.data).not.toEqual(start.get('mlp2.0.weight')!.data);
    trainer.dispose();
  }
});
