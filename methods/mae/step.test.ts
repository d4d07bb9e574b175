import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { encode } from '../../electron/engine/encoder.ts';
import { hostCopy, hostTidy } from '../../electron/engine/host.ts';
import { all } from '../../electron/engine/layers/embed.ts';
import { sincosPositions } from '../../electron/engine/layers/position.ts';
import { fromPlain, toPlain } from '../../electron/engine/names.ts';
import { Network } from '../../electron/engine/network.ts';
import { Trainer } from '../../electron/engine/trainer.ts';
import { readSafetensors } from '../../electron/formats/safetensors.ts';
import { loadBackend } from '../../electron/trainer/backend.ts';
import type { HostTensor, StateDict } from '../../shared/domain.ts';
import { draw, type MAEConfig, mae } from './step.ts';

// What the published code gave (models_mae.py, in PyTorch, fp32, CPU). Bounds as fp32 itself allows them: losses 1e-5,
// gradients and features 1e-4 of the largest value, final states 1e-2 of how far they moved, tokens 1e-4.
await loadBackend();

/** `[batch, 3, h, w]` as the engine's `[batch, h, w, 3]`. */
function channelsLast({ shape, data }: HostTensor): Float32Array {
  const [batch, , h, w] = shape as [number, number, number, number];
  const area = h * w;
  return Float32Array.from({ length: batch * area * 3 }, (_, i) => {
    const [b, at, c] = [Math.floor(i / (3 * area)), Math.floor(i / 3) % area, i % 3];
    return data[(b * 3 + c) * area + at]!;
  });
}

const norm = (a: ArrayLike<number>, b: ArrayLike<number>) => Math.sqrt(sumOf(a, (v, i) => (v - b[i]!) ** 2));
const sumOf = (a: ArrayLike<number>, f: (v: number, i: number) => number) =>
  Array.from(a).reduce((sum, v, i) => sum + f(v, i), 0);
const largest = (a: ArrayLike<number>) => Array.from(a).reduce((m, v) => Math.max(m, Math.abs(v)), 0);
const near = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  largest(Array.from(b, (v, i) => v - a[i]!)) / Math.max(largest(b), 1e-30);

/** Without the bias of the keys, whose true gradient is zero: what is stored is rounding, which Adam turns into steps. */
const meaningful = (name: string, data: Float32Array): Float32Array =>
  name.endsWith('attn.qkv.bias')
    ? Float32Array.of(...data.slice(0, data.length / 3), ...data.slice((2 * data.length) / 3))
    : data;

describe.each(['visible-1', 'visible-2'])('MAE beside the published code: %s', (name) => {
  const folder = join(import.meta.dirname, 'fixture', name);
  const said = JSON.parse(readFileSync(join(folder, 'fixture.json'), 'utf8'));
  const load = (file: string): StateDict => readSafetensors(join(folder, `${file}.safetensors`)).tensors;
  const config: MAEConfig = {
    model: {
      image_size: said.image_size,
      patch_size: said.patch_size,
      embed_dim: said.encoder.embed_dim,
      depth: said.encoder.depth,
      num_heads: said.encoder.num_heads,
      mlp_ratio: said.mlp_ratio,
      position: 'fixed-sincos',
      layer_scale_init: 0,
      layer_norm_eps: said.layer_norm_eps,
      init_std: 0.02,
    },
    decoder: said.decoder,
    mask_ratio: said.mask_ratio,
    norm_pix_loss: said.norm_pix_loss,
    optimizer: { betas: said.optimizer.betas, eps: said.optimizer.eps, clip_grad: null },
  };

  test('positions are those of the published code', () => {
    const init = load('model.init');
    const grid = said.image_size / said.patch_size;
    for (const [key, width] of [
      ['pos_embed', said.encoder.embed_dim],
      ['decoder_pos_embed', said.decoder.embed_dim],
    ] as const)
      expect(near(sincosPositions(grid, width), init.get(key)!.data)).toBeLessThan(1e-6);
  });

  test('losses, gradients, features, final state and tokens', () => {
    const init = load('model.init');
    const start = fromPlain(init);
    const before = tf.memory().numTensors;
    const trainer = new Trainer(mae, config, start, start);
    for (const [i, step] of said.steps.entries()) {
      const batch = load(`batch.step${i}`);
      const noise = Float32Array.from(batch.get('noise')!.data);
      const { mask, kept } = draw(noise, batch.get('noise')!.shape[1]!, said.mask_ratio);
      expect([...mask]).toEqual([...batch.get('mask')!.data]);
      expect(kept.length).toBe(said.batch * step.kept_per_image);
      const features = new Map<string, Float32Array>();
      let gradients: StateDict = new Map();
      const { loss, grad_norm } = trainer.step(
        [{ images: channelsLast(batch.get('images')!), noise }],
        { lr: step.lr, weight_decay: step.weight_decay, momentum: 0 },
        {
          show: (key, tensor) => features.set(key, hostCopy(tensor)),
          onGradients: (state) => {
            gradients = toPlain(state);
          },
        },
      );
      expect(Math.abs(loss / step.loss - 1)).toBeLessThan(1e-5);
      expect(Math.abs(grad_norm / step.grad_norm_before_clip - 1)).toBeLessThan(1e-4);
      if (i > 0) continue;
      const want = load('gradients.step0');
      expect([...gradients.keys()].sort()).toEqual([...want.keys()].sort());
      for (const [key, { data, shape }] of want) {
        expect(gradients.get(key)!.shape, key).toEqual(shape);
        expect(near(meaningful(key, gradients.get(key)!.data), meaningful(key, data)), key).toBeLessThan(1e-4);
      }
      for (const [key, { data }] of load('features.step0'))
        expect(near(features.get(key)!, data), key).toBeLessThan(1e-4);
    }
    const { student, teacher } = trainer.state();
    expect(teacher.size).toBe(0);
    trainer.dispose();
    expect(tf.memory().numTensors).toBe(before);
    const final = toPlain(student);
    for (const [key, { data }] of load('model.final')) {
      const [a, b, z] = [final.get(key)!.data, data, init.get(key)!.data].map((v) => meaningful(key, v));
      const moved = norm(b!, z!);
      expect(norm(a!, b!), key).toBeLessThanOrEqual(1e-2 * moved + (moved > 0 ? 0 : 1e-7));
    }
    const tokens = load('tokens.eval');
    const network = new Network(mae.student(config), fromPlain(load('model.final')));
    const got = hostTidy(() => encode(network, all(channelsLast(tokens.get('input')!))).tensor);
    network.dispose();
    expect(near(got, tokens.get('tokens')!.data)).toBeLessThan(1e-4);
  });
});

test('the number of patches that are kept is computed in double precision, as published', () => {
  const noise = Float32Array.from({ length: 100 }, (_, i) => i / 100);
  expect(draw(noise, 100, 0.9).kept.length).toBe(9);
});
