import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { firstBatch, replay } from '../../electron/bench/replay.ts';
import { placeShare } from '../../electron/engine/health.ts';
import { fromPlain } from '../../electron/engine/names.ts';
import { Network } from '../../electron/engine/network.ts';
import { channelsLast } from '../../electron/engine/replay.ts';
import { readSafetensors } from '../../electron/formats/safetensors.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import type { RunConfig } from '../../shared/config.ts';
import type { HealthReport, NetworkHealth, SetHealth } from '../../shared/health.ts';
import { parseRunConfig } from '../index.ts';
import { health } from './health.ts';
import { type MAEBatch, type MAEConfig, step } from './step.ts';

await loadBackend();

describe.each(['visible-1', 'visible-2'])('figures beside the published code: %s', async (name) => {
  const folder = join(import.meta.dirname, 'fixture', name);
  const { config, states, batch } = await firstBatch<MAEConfig, MAEBatch>(folder);
  const features = readSafetensors(join(folder, 'features.step0.safetensors')).tensors;
  const K = (config.model.image_size / config.model.patch_size) ** 2;
  const images = batch.views.image as Float32Array;
  const size = batch.mask.length / K;
  const masks = Array.from({ length: size }, (_, i) => Uint8Array.from(batch.mask.subarray(i * K, (i + 1) * K)));

  test('the error is the loss of a step on these images; zero for every pixel, and spreads, by plain loops', async () => {
    const out = mkdtempSync(join(tmpdir(), 'replay-'));
    const [first] = await replay(folder, out);
    rmSync(out, { recursive: true });
    const before = tf.memory().numTensors;
    const network = new Network(step.student(config), fromPlain(states.student));
    const measure = health.measure(config as unknown as RunConfig);
    measure.add({ student: network, teacher: null }, { images, masks });
    const { figures, references } = measure.result();
    network.dispose();
    expect(tf.memory().numTensors).toBe(before);
    expect(figures.error! / first!.loss!).toBeCloseTo(1, 5);

    const [pred, target] = [features.get('pred')!.data, features.get('target')!.data];
    const P = pred.length / (size * K);
    let [square, hidden] = [0, 0];
    for (let i = 0; i < size * K; i++) {
      if (!batch.mask[i]) continue;
      hidden++;
      for (let v = 0; v < P; v++) square += target[i * P + v]! ** 2;
    }
    expect(references.nothing! / (square / (hidden * P))).toBeCloseTo(1, 4);
    expect(figures.spread! / spreadOf(pred, masks, P)).toBeCloseTo(1, 3);
    expect(references.true_spread! / spreadOf(target, masks, P)).toBeCloseTo(1, 3);
  });

  test('the set is the patch tokens of whole images, of unit length, without CLS', () => {
    const read = (file: string) => readSafetensors(join(folder, `${file}.safetensors`)).tensors;
    const published = read('tokens.eval');
    const { input, tokens } = { input: published.get('input')!, tokens: published.get('tokens')! };
    const network = new Network(step.student(config), fromPlain(read('model.final')));
    const measure = health.measure(config as unknown as RunConfig);
    measure.add({ student: network, teacher: null }, { images: channelsLast(input), masks });
    const { sets, figures } = measure.result();
    network.dispose();
    const { features: rows, width } = sets.patches!;
    expect(rows).toHaveLength(size * K * width);
    for (let i = 0; i < size * K; i++) {
      const own = rows.subarray(i * width, (i + 1) * width);
      const at = (Math.floor(i / K) * (K + 1) + 1 + (i % K)) * width;
      const want = tokens.data.subarray(at, at + width);
      const dot = own.reduce((sum, value, d) => sum + value * want[d]!, 0);
      expect(dot / Math.hypot(...want)).toBeCloseTo(1, 4);
      expect(Math.hypot(...own)).toBeCloseTo(1, 5);
    }
    expect(figures.place_share).toBe(placeShare(rows, K, width));
  });

  /** Root of the mean variance, place by place, over images in which it is hidden twice at least. */
  function spreadOf(values: Float32Array, masks: readonly Uint8Array[], P: number): number {
    let [sum, n] = [0, 0];
    for (let k = 0; k < K; k++) {
      const of = [...masks.keys()].filter((i) => masks[i]![k]);
      if (of.length < 2) continue;
      n += of.length;
      for (let v = 0; v < P; v++) {
        const own = of.map((i) => values[(i * K + k) * P + v]!);
        const mean = own.reduce((a, b) => a + b) / own.length;
        sum += own.reduce((a, b) => a + (b - mean) ** 2, 0);
      }
    }
    return Math.sqrt(sum / (n * P));
  }
});

test('the verdict says what the figures say', () => {
  const set = (over: Partial<SetHealth> = {}): SetHealth => ({
    width: 64,
    rows: 1000,
    rank: 30,
    cosine: 0.5,
    uniformity: -2,
    dead: 0,
    singular: [],
    deviations: [],
    ...over,
  });
  const network = (
    figures: NetworkHealth['figures'] = {},
    sets: Partial<Record<'patches' | 'images', SetHealth>> = {},
  ): NetworkHealth => ({
    sets: { patches: set(), images: set(), ...sets },
    figures: { error: 0.6, spread: 0.4, place_share: 0.3, ...figures },
  });
  const found = (trained: NetworkHealth) =>
    health.findings(
      {
        trained,
        untrained: network({ error: 1.2 }),
        references: { nothing: 0.97, true_spread: 0.9, place_share_chance: 0.01 },
      } as unknown as HealthReport,
      parseRunConfig({ method: { name: 'mae' } }),
    );
  const levels = (trained: NetworkHealth) => found(trained).map(({ level }) => level);
  expect(levels(network())).toEqual(['good', 'good', 'good', 'good', 'good', 'note']);
  expect(levels(network({ error: 0.97 }))[0]).toBe('bad');
  expect(found(network({ error: 0.97 }))[0]!.text).toContain('optimizer.lr');
  expect(levels(network({ spread: 0.01 }))[1]).toBe('bad');
  expect(levels(network({ spread: null }))[1]).toBe('note');
  expect(levels(network({}, { images: set({ cosine: 1 }) }))[2]).toBe('bad');
  expect(levels(network({}, { patches: set({ rank: 1.2 }) }))[3]).toBe('bad');
  expect(levels(network({}, { patches: set({ dead: 40 }) }))[4]).toBe('bad');
  expect(levels(network({}, { patches: set({ dead: 4 }) }))[4]).toBe('note');
});
