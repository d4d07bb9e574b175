import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { firstBatch } from '../../electron/bench/replay.ts';
import { Network } from '../../electron/engine/network.ts';
import { readSafetensors } from '../../electron/formats/safetensors.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import type { RunConfig } from '../../shared/config.ts';
import { assign, colourOf, explain } from './explain.ts';
import { type IBOTBatch, type IBOTConfig, step } from './step.ts';

await loadBackend();
const folder = join(import.meta.dirname, 'fixture/visible-1');
const { config, states, batch } = await firstBatch<IBOTConfig, IBOTBatch>(folder);
const outputs = readSafetensors(join(folder, 'outputs.step0.safetensors')).tensors;
const { image_size: side, patch_size: p } = config.model;
const [K, size] = [(side / p) ** 2, side * side * 3];
const images = batch.views.first!;
const whole = config as unknown as RunConfig;
// The published code has logits of whole images by the teacher alone: its state is asked, which has no mask token.
const state = new Map(states.student);
for (const [name, tensor] of states.teacher) state.set(name, tensor);
const network = new Network(step.student(config), state);

test('classes of patches are those that the published code finds likeliest', () => {
  tf.tidy(() => assign.members(network, images, whole)); // matrices of products are made once, and kept
  const before = tf.memory().numTensors;
  const logits = outputs.get('teacher.patch')!.data;
  for (const b of [0, 3]) {
    const image = images.slice(b * size, (b + 1) * size);
    const pixels = Uint8Array.from({ length: size }, (_, i) => (i * 7) % 256);
    const { maps, figures, pictures } = explain.classes(network, { pixels, image, mask: new Uint8Array(K) }, whole);
    const found = new Set<number>();
    let entropies = 0;
    for (let patch = 0; patch < K; patch++) {
      const at = (b * K + patch) * config.head.out;
      const scaled = Array.from(logits.slice(at, at + config.head.out), (v) => v / config.temperatures.student);
      const best = scaled.indexOf(Math.max(...scaled));
      const sum = scaled.reduce((total, v) => total + Math.exp(v - scaled[best]!), 0);
      found.add(best);
      entropies += -scaled.reduce((total, v) => {
        const q = Math.exp(v - scaled[best]!) / sum;
        return total + q * Math.log(q);
      }, 0);
      expect(maps.class![patch]).toBe(best + 1);
      expect(maps.certainty![patch]).toBeCloseTo(1 / sum, 4);
      // Its picture is grey in the class's colour.
      const [y, x] = [Math.floor(patch / (side / p)) * p + 1, (patch % (side / p)) * p + 2];
      const [r, g, blue] = pixels.subarray((y * side + x) * 3, (y * side + x) * 3 + 3);
      const grey = 0.299 * r! + 0.587 * g! + 0.114 * blue!;
      for (let c = 0; c < 3; c++)
        expect(pictures.classes![(y * side + x) * 3 + c]! - (0.4 * grey + 0.6 * colourOf(best)[c]!)).toBeCloseTo(0, -1);
    }
    expect(figures).toMatchObject({ classes: found.size });
    expect(figures.entropy).toBeCloseTo(entropies / K, 4);
  }
  const rows = tf.tidy(() => assign.members(network, images, whole).arraySync());
  expect(rows).toHaveLength(4 * K);
  expect(rows[0]!.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
  expect(tf.memory().numTensors).toBe(before);
});

test('colours of classes are those of the circle, and neighbours differ', () => {
  expect(colourOf(0)).toEqual([255, 0, 0]);
  const all = Array.from({ length: 40 }, (_, i) => colourOf(i));
  for (const [i, colour] of all.entries()) {
    expect(Math.max(...colour)).toBe(255);
    expect(Math.min(...colour)).toBe(0);
    if (i > 0) expect(Math.hypot(...colour.map((v, c) => v - all[i - 1]![c]!))).toBeGreaterThan(150);
  }
});
