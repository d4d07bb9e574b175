import { expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { parseRunConfig } from '../index.ts';
import { fineTuneSchema } from './config.ts';
import { classifierStart, layerOf, network } from './network.ts';

const MODEL = { image_size: 16, patch_size: 4, embed_dim: 8, depth: 2, num_heads: 2, mlp_ratio: 2 };
const PRETRAINED = parseRunConfig({
  model: MODEL,
  projector: { layers: 2, hidden: 8, out: 4 },
  mask: { kind: 'uniform' },
});
const networkOf = (over = {}) =>
  network({ model: PRETRAINED.model, classes: 3, settings: fineTuneSchema.parse({ ...over }) });
const namesOf = (over = {}) => networkOf(over).parameters.map(({ name }) => name);

test('copies the shared table into every block, and starts the rest fresh', () => {
  const pretrained = untrainedState(PRETRAINED);
  const table = pretrained.get('rel_pos_bias.relative_position_bias_table')!;
  table.data.forEach((_, i) => {
    table.data[i] = i;
  });
  const state = classifierStart(networkOf(), pretrained, (name) => stream(5, 0, 0, name));
  for (const block of [0, 1])
    expect(state.get(`blocks.${block}.attn.relative_position_bias_table`)!.data).toEqual(table.data);
  expect(state.get('cls_token')).toBe(pretrained.get('cls_token'));
  expect([...state.get('fc_norm.weight')!.data]).toEqual(Array(8).fill(1));
  // The published start of the head: 0.02 · init_scale.
  expect(Math.max(...state.get('head.weight')!.data.map(Math.abs))).toBeLessThan(0.02 * 0.001 * 1.01);
  expect([...state.get('head.bias')!.data]).toEqual([0, 0, 0]);
});

test('has nothing of the pretraining’s own, and the last LayerNorm where CLS is read', () => {
  expect(namesOf().filter((name) => /mask_token|projectors|^norm\.|^rel_pos_bias/.test(name))).toEqual([]);
  expect(namesOf()).toContain('fc_norm.weight');
  expect(namesOf({ pooling: 'cls' })).toContain('norm.weight');
  expect(namesOf({ pooling: 'cls' })).not.toContain('fc_norm.weight');
});

test('learned positions are the pretraining’s, and so are fixed ones, from where they stand', () => {
  const encoder = { ...MODEL, embed_dim: 8 };
  const fixed = parseRunConfig({
    method: { name: 'mae' },
    model: encoder,
    decoder: { embed_dim: 8, depth: 1, num_heads: 2 },
  });
  const learned = parseRunConfig({ ...PRETRAINED, model: { ...encoder, position: 'absolute' } });
  for (const pretraining of [fixed, learned]) {
    const { model } = pretraining;
    const classifier = network({ model, classes: 3, settings: fineTuneSchema.parse({}) });
    expect(classifier.parameters.find(({ name }) => name === 'pos_embed')).toMatchObject({
      shape: [1, 17, 8],
      decay: false,
    });
    const pretrained = untrainedState(pretraining);
    const start = classifierStart(classifier, pretrained, (name) => stream(5, 0, 0, name));
    expect(start.get('pos_embed')!.data).toEqual(pretrained.get('pos_embed')!.data);
  }
});

test('numbers layers as the published code does', () => {
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
