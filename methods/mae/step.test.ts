import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { replay } from '../../electron/bench/replay.ts';
import { sincosPositions } from '../../electron/engine/positions.ts';
import { readSafetensors } from '../../electron/formats/safetensors.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { draw, spread } from './step.ts';

// What the published code gave (models_mae.py, in PyTorch, fp32, CPU). Bounds as fp32 itself allows them: losses 1e-5,
// gradients and features 1e-4 of the largest value, final states 1e-2 of how far they moved, tokens 1e-4.
await loadBackend();

const largest = (a: ArrayLike<number>) => Array.from(a).reduce((m, v) => Math.max(m, Math.abs(v)), 0);
const near = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  largest(Array.from(b, (v, i) => v - a[i]!)) / Math.max(largest(b), 1e-30);
const distance = (a: ArrayLike<number>, b: ArrayLike<number>) => Math.hypot(...Array.from(a, (v, i) => v - b[i]!));

/** Without the bias of the keys, whose true gradient is zero: what is stored is rounding, which Adam turns into steps. */
const meaningful = (name: string, data: Float32Array): Float32Array =>
  name.endsWith('attn.qkv.bias')
    ? Float32Array.of(...data.slice(0, data.length / 3), ...data.slice((2 * data.length) / 3))
    : data;

describe.each(['visible-1', 'visible-2'])('MAE beside the published code: %s', (name) => {
  const from = join(import.meta.dirname, 'fixture', name);
  const to = mkdtempSync(join(tmpdir(), 'mae-'));
  const said = JSON.parse(readFileSync(join(from, 'fixture.json'), 'utf8'));
  const load = (folder: string, file: string): StateDict =>
    readSafetensors(join(folder, `${file}.safetensors`)).tensors;
  /** Largest difference of every tensor of a file, over the largest value of that tensor. */
  const differences = (file: string) => {
    const [want, got] = [load(from, file), load(to, file)];
    expect([...got.keys()].sort()).toEqual([...want.keys()].sort());
    return [...want].map(([key, { data, shape }]) => {
      expect(got.get(key)!.shape, key).toEqual(shape);
      const [a, b] = [meaningful(key, got.get(key)!.data), meaningful(key, data)];
      return near(a, b);
    });
  };
  let tensors = 0;
  beforeAll(async () => {
    const before = tf.memory().numTensors;
    await replay(from, to);
    tensors = tf.memory().numTensors - before;
  });
  afterAll(() => rmSync(to, { recursive: true }));

  test('losses and gradient norms', () => {
    const { steps } = JSON.parse(readFileSync(join(to, 'result.json'), 'utf8'));
    expect(steps).toHaveLength(said.steps.length);
    for (const [i, want] of said.steps.entries()) {
      expect(Math.abs(steps[i].loss / want.loss - 1)).toBeLessThan(1e-5);
      expect(Math.abs(steps[i].grad_norm_before_clip / want.grad_norm_before_clip - 1)).toBeLessThan(1e-4);
    }
  });

  test('gradients and features of the first step, and tokens after the last', () => {
    for (const file of ['gradients.step0', 'features.step0', 'tokens.eval'])
      expect(Math.max(...differences(file)), file).toBeLessThan(1e-4);
  });

  test('final state, within 1e-2 of how far each tensor moved', () => {
    const [init, want, got] = [load(from, 'model.init'), load(from, 'model.final'), load(to, 'model.final')];
    expect([...got.keys()].sort()).toEqual([...want.keys()].sort());
    for (const [key, { data }] of want) {
      const [a, b, z] = [got.get(key)!.data, data, init.get(key)!.data].map((values) => meaningful(key, values));
      const moved = distance(b!, z!);
      expect(distance(a!, b!), key).toBeLessThanOrEqual(1e-2 * moved);
      if (key.endsWith('pos_embed')) expect(moved).toBe(0);
    }
  });

  test('masks, and how many patches are kept', () => {
    for (const [i, step] of said.steps.entries()) {
      const batch = load(from, `batch.step${i}`);
      const noise = batch.get('noise')!;
      const { mask, kept } = draw(Float32Array.from(noise.data), noise.shape[1]!, said.mask_ratio);
      expect([...mask]).toEqual([...batch.get('mask')!.data]);
      expect(kept.length).toBe(said.batch * step.kept_per_image);
    }
  });

  test('fixed positions are built, not only loaded', () => {
    const init = load(from, 'model.init');
    const grid = said.image_size / said.patch_size;
    expect(near(sincosPositions(grid, said.encoder.embed_dim), init.get('pos_embed')!.data)).toBeLessThan(1e-6);
    expect(near(sincosPositions(grid, said.decoder.embed_dim), init.get('decoder_pos_embed')!.data)).toBeLessThan(1e-6);
  });

  test('no tensor is left behind', () => expect(tensors).toBe(0));
});

test('the number of patches that are kept is computed in double precision, as published', () => {
  const noise = Float32Array.from({ length: 100 }, (_, i) => i / 100);
  expect(draw(noise, 100, 0.9).kept.length).toBe(9);
});

test('spread is the deviation over images of what is drawn at hidden places, each about its own mean', () => {
  const [batch, K, values] = [5, 4, 3];
  const pixels = Float32Array.from({ length: batch * K * values }, (_, i) => Math.sin(7 * i) + i / 20);
  // Place 0 is hidden in all images, 1 in three, 2 in one, 3 in none.
  const mask = Float32Array.from({ length: batch * K }, (_, i) => Number(Math.floor(i / K) < [5, 3, 1, 0][i % K]!));
  let [squares, n] = [0, 0];
  for (const k of [0, 1]) {
    for (let v = 0; v < values; v++) {
      const seen = [...Array(batch).keys()]
        .filter((b) => mask[b * K + k] === 1)
        .map((b) => pixels[(b * K + k) * values + v]!);
      const mean = seen.reduce((sum, x) => sum + x, 0) / seen.length;
      squares += seen.reduce((sum, x) => sum + (x - mean) ** 2, 0);
      n += seen.length;
    }
  }
  const before = tf.memory().numTensors;
  const x = tf.tensor3d(pixels, [batch, K, values]);
  expect(spread(x, mask)).toBeCloseTo(Math.sqrt(squares / n), 5);
  expect(spread(x, new Float32Array(batch * K))).toBeNull();
  const alike = tf.tidy(() => tf.tile(tf.slice(x, [0, 0, 0], [1, K, values]), [batch, 1, 1]) as tf.Tensor3D);
  expect(spread(alike, mask)).toBeCloseTo(0, 6);
  tf.dispose([x, alike]);
  expect(tf.memory().numTensors).toBe(before);
});
