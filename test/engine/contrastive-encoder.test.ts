import { expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { contrastiveEncoder, initialTensor } from '../../electron/engine/parameters.ts';
import { ratesAt } from '../../electron/engine/schedule.ts';
import { parseRunConfig } from '../../methods/index.ts';
import { modelSchema } from '../../shared/config.ts';

const model = modelSchema.parse({
  image_size: 32,
  patch_size: 8,
  embed_dim: 24,
  depth: 2,
  num_heads: 3,
  layer_scale_init: 0,
  position: 'fixed-sincos',
});
const specsOf = (frozen_patch_embedding: boolean, decay_all: boolean) =>
  contrastiveEncoder(model, { frozen_patch_embedding, decay_all }).parameters;

test('starts as MoCo v3 does: queries, keys and values as matrices of their own, hardly a CLS token, no mask token', () => {
  const specs = new Map(specsOf(true, true).map((spec) => [spec.name, spec]));
  expect(specs.has('mask_token')).toBe(false);
  expect(specs.has('pos_embed')).toBe(false); // a buffer
  const largest = (name: string) => {
    const data = initialTensor(specs.get(name)!, stream(1, 0, 0, name));
    return data.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  };
  const limits = {
    'blocks.0.attn.qkv.weight': Math.sqrt(6 / (24 + 24)), // not 6 / (24 + 72)
    'blocks.1.attn.proj.weight': Math.sqrt(6 / (24 + 24)),
    'blocks.0.mlp.fc1.weight': Math.sqrt(6 / (24 + 96)),
    'blocks.1.mlp.fc2.weight': Math.sqrt(6 / (96 + 24)),
    'patch_embed.proj.weight': Math.sqrt(6 / (3 * 64 + 24)),
  };
  for (const [name, limit] of Object.entries(limits)) {
    expect(largest(name), name).toBeLessThanOrEqual(limit);
    expect(largest(name), name).toBeGreaterThan(0.98 * limit);
  }
  expect(largest('cls_token')).toBeLessThan(1e-5);
  for (const name of specs.keys()) if (/bias$/.test(name)) expect(largest(name), name).toBe(0);
});

test('the patch embedding stays as it starts, and everything decays, where that is asked', () => {
  for (const frozen of [true, false])
    for (const { name, frozenFor } of specsOf(frozen, true))
      expect(frozenFor, name).toBe(frozen && /^patch_embed/.test(name) ? Number.POSITIVE_INFINITY : undefined);
  expect(specsOf(true, true).every(({ decay }) => decay)).toBe(true);
  const spared = specsOf(true, false).filter(({ decay }) => !decay);
  expect(spared.every(({ name, shape }) => shape.length === 1 || name === 'cls_token')).toBe(true);
  expect(spared.length).toBeGreaterThan(10);
});

test('a warm-up after which the peak comes, and one whose last step is the peak', () => {
  const config = parseRunConfig({ optimizer: { lr: 2.4e-3, min_lr: 0, warmup_epochs: 4 } });
  const at = (step: number, peakAfterWarmup?: boolean) => ratesAt(config, step, 200, 10, peakAfterWarmup).lr;
  // As main_moco.py has it (arXiv 2104.02057): 20 epochs of 10 steps, 4 of them warm-up.
  const points = [
    [0, 0],
    [5, 3e-4],
    [39, 2.34e-3],
    [40, 2.4e-3],
    [100, 1.6592201188381076e-3],
    [195, 5.778327993363818e-6],
  ];
  for (const [step, lr] of points) expect(at(step!, true)).toBeCloseTo(lr!, 12);
  expect(at(39)).toBeCloseTo(2.4e-3, 12);
  expect(at(5)).toBeCloseTo((2.4e-3 * 5) / 39, 12);
  expect(at(100)).toBeCloseTo(at(100, true), 12);
});
