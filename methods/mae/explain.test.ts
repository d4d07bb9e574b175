import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { firstBatch } from '../../electron/bench/replay.ts';
import { Network } from '../../electron/engine/network.ts';
import { Trainer } from '../../electron/engine/trainer.ts';
import { readSafetensors } from '../../electron/formats/safetensors.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import type { RunConfig } from '../../shared/config.ts';
import { explain } from './explain.ts';
import { type MAEBatch, type MAEConfig, step } from './step.ts';

await loadBackend();

describe.each(['visible-1', 'visible-2'])('a reconstruction beside the published code: %s', async (name) => {
  const folder = join(import.meta.dirname, 'fixture', name);
  const { config, states, batch } = await firstBatch<MAEConfig, MAEBatch>(folder);
  const features = readSafetensors(join(folder, 'features.step0.safetensors')).tensors;
  const state = states.student;
  const { image_size: side, patch_size: p } = config.model;
  const [grid, K, P] = [side / p, (side / p) ** 2, 3 * p * p];
  const augment = { mean: [0.5, 0.4, 0.3], std: [0.25, 0.2, 0.3] };
  const whole = { ...config, augment } as unknown as RunConfig;
  const images = batch.views.image as Float32Array;
  const size = side * side * 3;
  const ask = (b: number, mask: Uint8Array, pixels = new Uint8Array(size)) => {
    const network = new Network(step.student(config), state);
    try {
      return explain.reconstruction(network, { pixels, image: images.slice(b * size, (b + 1) * size), mask }, whole);
    } finally {
      network.dispose();
    }
  };
  const maskOf = (b: number) => Uint8Array.from(batch.mask.subarray(b * K, (b + 1) * K));

  test('errors of patches are those of its predictions', () => {
    const [pred, target] = [features.get('pred')!.data, features.get('target')!.data];
    for (const b of [0, 1]) {
      const mask = maskOf(b);
      const { error } = ask(b, mask).maps;
      expect(error).toHaveLength(K);
      for (const [patch, m] of mask.entries()) {
        if (!m) {
          expect(error![patch]).toBeNull();
          continue;
        }
        const at = (b * K + patch) * P;
        const want = Array.from({ length: P }, (_, v) => (pred[at + v]! - target[at + v]!) ** 2);
        expect(error![patch]! / (want.reduce((x, y) => x + y) / P)).toBeCloseTo(1, 4);
      }
    }
  });

  test('its error is the loss of a step on that image under that mask, and of predicting nothing the mean square', () => {
    for (const mask of [maskOf(0), Uint8Array.from({ length: K }, (_, i) => +(i % 3 === 0))]) {
      const trainer = new Trainer(step, config, state, state);
      const views = { image: images.slice(0, size) };
      const { loss } = trainer.step([{ views, mask: Float32Array.from(mask) }], {
        lr: 0,
        weight_decay: 0,
        momentum: 0,
      });
      trainer.dispose();
      const { error, nothing } = ask(0, mask).figures;
      expect(error! / loss).toBeCloseTo(1, 5);
      // A patch's own normalisation leaves (P - 1) / P of variance, less where it is flat.
      if (config.target.normalised) expect(nothing).toBeLessThanOrEqual((P - 1) / P + 1e-5);
    }
  });

  test('kept patches are the input, removed ones the prediction in the tone of the patch', () => {
    const pred = features.get('pred')!.data;
    const pixels = Uint8Array.from({ length: size }, (_, i) => (i * 7) % 256);
    const mask = maskOf(0);
    const { reconstruction, masked } = ask(0, mask, pixels).pictures;
    let seen = 0;
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const patch = Math.floor(y / p) * grid + Math.floor(x / p);
        // The patch's values as columns of the image, which is another way to them than by places within the patch.
        const own: number[] = [];
        const [y0, x0] = [Math.floor(y / p) * p, Math.floor(x / p) * p];
        for (let i = y0; i < y0 + p; i++) own.push(...images.subarray((i * side + x0) * 3, (i * side + x0 + p) * 3));
        const { mean, variance } = tf.tidy(() => {
          const m = tf.moments(own);
          return { mean: m.mean.dataSync()[0]!, variance: (m.variance.dataSync()[0]! * P) / (P - 1) };
        });
        for (let c = 0; c < 3; c++) {
          const at = (y * side + x) * 3 + c;
          if (!mask[patch]) {
            expect(reconstruction![at]).toBe(pixels[at]);
            expect(masked![at]).toBe(pixels[at]);
            continue;
          }
          const said = pred[patch * P + ((y - y0) * p + (x - x0)) * 3 + c]!;
          const value = config.target.normalised ? said * Math.sqrt(variance + 1e-6) + mean : said;
          const byte = Math.min(255, Math.max(0, (value * augment.std[c]! + augment.mean[c]!) * 255));
          expect(Math.abs(reconstruction![at]! - byte)).toBeLessThan(0.6);
          expect(masked![at]).toBe(128);
          seen++;
        }
      }
    }
    expect(seen).toBe(mask.reduce((sum, m) => sum + m, 0) * P);
  });

  test('a mask that hides all or nothing is refused in words, and no tensor is left behind', () => {
    const before = tf.memory().numTensors;
    expect(() => ask(0, new Uint8Array(K))).toThrow('No patch is hidden');
    expect(() => ask(0, new Uint8Array(K).fill(1))).toThrow('Every patch is hidden');
    ask(0, maskOf(0));
    expect(tf.memory().numTensors).toBe(before);
  });
});
