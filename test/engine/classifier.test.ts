import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { Classifier, classifierSpecs, classifierState, layerOf } from '../../electron/engine/classifier.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { fineTuneSchema } from '../../methods/supervised/config.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { expectDifferences } from './differences.ts';

const CONFIG = runConfigSchema.parse({
  model: { image_size: 16, patch_size: 4, embed_dim: 8, depth: 2, num_heads: 2, mlp_ratio: 2 },
  projector: { layers: 2, hidden: 8, out: 4 },
  mask: { kind: 'uniform' },
});
const CLASSES = 3;
const SIZE = 16 * 16 * 3;
const draw = (name: string) => stream(5, 0, 0, name);
const noise = (n: number, name = 'noise') => {
  const random = draw(name);
  return Float32Array.from({ length: n }, () => random.next() * 2 - 1);
};
const settings = (over = {}) => fineTuneSchema.parse({ drop_path: 0, ...over });
/** A head that is not nearly zero, so that gradients reach the encoder. */
const make = (over = {}, config = CONFIG) => {
  const chosen = settings({ init_scale: 1, ...over });
  const specs = classifierSpecs(config.model, CLASSES, chosen);
  const state = classifierState(specs, untrainedState(config), draw);
  return { state, specs, classifier: new Classifier(config.model, CLASSES, chosen, state) };
};
const targets = Float32Array.of(0.8, 0.1, 0.1, 0.2, 0.7, 0.1);

/** Soft cross-entropy of logits, in float64. */
function crossEntropy(logits: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < 2; i++) {
    const row = [...logits.subarray(i * CLASSES, (i + 1) * CLASSES)];
    const total = Math.log(row.reduce((a, l) => a + Math.exp(l), 0));
    row.forEach((l, c) => {
      sum -= targets[i * CLASSES + c]! * (l - total);
    });
  }
  return sum / 2;
}

describe('the classifier', () => {
  beforeAll(async () => {
    await loadBackend();
  });

  it.each([
    [{ position: 'shared-relative-bias' }, {}],
    [{ position: 'absolute' }, {}],
    [{ position: 'none' }, {}],
    [{ position: 'absolute' }, { pooling: 'cls' }],
    [{ layer_scale_init: 0, depth: 1 }, {}],
  ] as const)('gradients are those of differences (%j, %j)', (model, over) => {
    const config = runConfigSchema.parse({ ...CONFIG, model: { ...CONFIG.model, layer_scale_init: 0.1, ...model } });
    const { state, specs, classifier } = make(over, config);
    // So that no branch is nearly off.
    for (const { name } of specs) {
      const { data, shape } = state.get(name)!;
      const off = noise(data.length, `off ${name}`);
      state.set(name, { shape, data: data.map((v, i) => v + 0.2 * off[i]!) });
    }
    const start = new Classifier(config.model, CLASSES, settings({ init_scale: 1, ...over }), state);
    const images = noise(2 * SIZE);
    let gradients: StateDict = new Map();
    const { loss } = start.step(images, targets, { lr: 0, weight_decay: 0 }, draw('drop'), (g) => {
      gradients = g;
    });
    expect(loss).toBeCloseTo(crossEntropy(start.logits(images)), 5);
    const lossAt = (moved: StateDict) => {
      const other = new Classifier(config.model, CLASSES, settings({ init_scale: 1, ...over }), moved);
      const value = crossEntropy(other.logits(images));
      other.dispose();
      return value;
    };
    const names = specs.map(({ name }) => name);
    expectDifferences(state, gradients, lossAt, { names, by: 1e-3, order: 2, within: 3e-3, floor: 1e-3 });
    start.dispose();
    classifier.dispose();
  });

  it('copies the shared table into every block, and starts the rest fresh', () => {
    const pretrained = untrainedState(CONFIG);
    const table = pretrained.get('rel_pos_bias.relative_position_bias_table')!;
    table.data.forEach((_, i) => {
      table.data[i] = i;
    });
    const specs = classifierSpecs(CONFIG.model, CLASSES, settings());
    const state = classifierState(specs, pretrained, draw);
    for (const block of [0, 1])
      expect(state.get(`blocks.${block}.attn.relative_position_bias_table`)!.data).toEqual(table.data);
    expect([...state.keys()].some((name) => /mask_token|projectors|^norm\.|^rel_pos_bias/.test(name))).toBe(false);
    expect([...state.get('fc_norm.weight')!.data]).toEqual(Array(8).fill(1));
    // The published start of the head: 0.02 · init_scale.
    expect(Math.max(...state.get('head.weight')!.data.map(Math.abs))).toBeLessThan(0.02 * 0.001 * 1.01);
    expect(classifierSpecs(CONFIG.model, CLASSES, settings({ pooling: 'cls' })).map((s) => s.name)).toContain(
      'norm.weight',
    );
  });

  it("steps by the layer's own rate: AdamW's first step is the rate itself", () => {
    const { state, classifier } = make({ layer_decay: 0.5 });
    classifier.step(noise(2 * SIZE), targets, { lr: 1e-3, weight_decay: 0 }, draw('drop'));
    const after = new Map(classifier.tensors().student);
    const moved = (name: string) =>
      Math.max(...after.get(name)!.data.map((v, i) => Math.abs(v - state.get(name)!.data[i]!)));
    // Depth 2: embeddings 0.5^3, blocks 0.5^2 and 0.5, head 1.
    expect(moved('head.bias')).toBeCloseTo(1e-3, 5);
    expect(moved('blocks.1.mlp.fc2.bias')).toBeCloseTo(0.5e-3, 5);
    expect(moved('blocks.0.mlp.fc2.bias')).toBeCloseTo(0.25e-3, 5);
    expect(moved('patch_embed.proj.bias')).toBeCloseTo(0.125e-3, 5);
    classifier.dispose();
  });

  it('numbers layers as the published code does', () => {
    const names = [
      'cls_token',
      'pos_embed',
      'patch_embed.proj.weight',
      'blocks.0.norm1.weight',
      'blocks.11.attn.relative_position_bias_table',
      'fc_norm.bias',
      'head.weight',
    ];
    expect(names.map((name) => layerOf(name, 12))).toEqual([0, 0, 0, 1, 12, 13, 13]);
  });

  it('drops paths only in a step, and the same ones for the same draws', () => {
    const images = noise(2 * SIZE);
    const lossOf = (name: string) => {
      const { classifier } = make({ drop_path: 0.5 });
      const { loss } = classifier.step(images, targets, { lr: 0, weight_decay: 0 }, draw(name));
      const plain = crossEntropy(classifier.logits(images));
      classifier.dispose();
      return { loss, plain };
    };
    const [a, again] = [lossOf('a'), lossOf('a')];
    expect(a).toEqual(again);
    const losses = new Set(['b', 'c', 'd', 'e', 'f', 'g'].map((name) => lossOf(name).loss));
    expect(losses.size).toBeGreaterThan(1);
    expect(lossOf('b').plain).toBe(a.plain);
  });

  it('keeps no tensor from step to step, and learns', () => {
    const { classifier } = make({ drop_path: 0.1 });
    const images = noise(2 * SIZE);
    const rates = { lr: 3e-3, weight_decay: 0.05 };
    const first = classifier.step(images, targets, rates, draw('1')).loss;
    const tensors = tf.memory().numTensors;
    let last = first;
    for (let i = 0; i < 40; i++) last = classifier.step(images, targets, rates, draw(`${i}`)).loss;
    expect(tf.memory().numTensors).toBe(tensors);
    expect(last).toBeLessThan(first - 0.1);
    classifier.dispose();
  });
});
