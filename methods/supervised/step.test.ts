import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { hostTidy } from '../../electron/engine/host.ts';
import { type EngineOptions, Trainer } from '../../electron/engine/trainer.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { expectDifferences } from '../../test/engine/differences.ts';
import { parseRunConfig } from '../index.ts';
import { fineTuneSchema } from './config.ts';
import { classifierStart } from './network.ts';
import { configOf, drawDropPath, logits, type SupervisedConfig, step } from './step.ts';

beforeAll(async () => {
  await loadBackend();
});

const MODEL = { image_size: 16, patch_size: 4, embed_dim: 8, depth: 2, num_heads: 2, mlp_ratio: 2 };
const CLASSES = 3;
const SIZE = 16 * 16 * 3;
const draw = (name: string) => stream(5, 0, 0, name);
const noise = (n: number, name = 'noise') => {
  const random = draw(name);
  return Float32Array.from({ length: n }, () => random.next() * 2 - 1);
};
const images = noise(2 * SIZE);
const targets = Float32Array.of(0.8, 0.1, 0.1, 0.2, 0.7, 0.1);
const batchOf = (config: SupervisedConfig, name = 'drop') => ({
  images,
  targets,
  dropPath: drawDropPath(2, config, draw(name)),
});
const rates = (lr: number, weight_decay = 0) => ({ lr, weight_decay, momentum: 0 });

/** A head that is not nearly zero, so that gradients reach the encoder. */
function make(over = {}, model: Record<string, unknown> = {}) {
  const pretrained = parseRunConfig({
    model: { ...MODEL, ...model },
    ...(model.position === 'fixed-sincos'
      ? { method: { name: 'mae' }, decoder: { embed_dim: 8, depth: 1, num_heads: 2 } }
      : { projector: { layers: 2, hidden: 8, out: 4 }, mask: { kind: 'uniform' } }),
  });
  const settings = fineTuneSchema.parse({ drop_path: 0, init_scale: 1, ...over });
  const config = configOf(pretrained.model, CLASSES, settings);
  const { parameters } = step.student(config);
  const start = classifierStart(step.student(config), untrainedState(pretrained), draw);
  return { config, state: new Map(parameters.map(({ name }) => [name, start.get(name)!])) as StateDict };
}
const train = (config: SupervisedConfig, state: StateDict, options?: EngineOptions) =>
  new Trainer(step, config, state, state, options);
const asked = ({ networks, config }: ReturnType<typeof train>) =>
  hostTidy(() => logits(networks.student, images, config).tensor);

/** Soft cross-entropy of logits, in float64. */
function crossEntropy(scores: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < 2; i++) {
    const row = [...scores.subarray(i * CLASSES, (i + 1) * CLASSES)];
    const total = Math.log(row.reduce((a, l) => a + Math.exp(l), 0));
    row.forEach((l, c) => {
      sum -= targets[i * CLASSES + c]! * (l - total);
    });
  }
  return sum / 2;
}

test.each([
  [{ position: 'shared-relative-bias' }, {}],
  [{ position: 'absolute' }, {}],
  [{ position: 'none' }, {}],
  [{ position: 'fixed-sincos', layer_scale_init: 0 }, {}],
  [{ position: 'absolute' }, { pooling: 'cls' }],
  [{ layer_scale_init: 0, depth: 1 }, {}],
] as const)('gradients are those of differences (%j, %j)', (model, over) => {
  const { config, state } = make(over, { layer_scale_init: 0.1, ...model });
  // So that no branch is nearly off.
  for (const [name, { data, shape }] of state) {
    const off = noise(data.length, `off ${name}`);
    state.set(name, { shape, data: data.map((v, i) => v + 0.2 * off[i]!) });
  }
  const trainer = train(config, state);
  let gradients: StateDict = new Map();
  const { loss } = trainer.step([batchOf(config)], rates(0), {
    onGradients: (found) => {
      gradients = found;
    },
  });
  expect(loss).toBeCloseTo(crossEntropy(asked(trainer)), 5);
  trainer.dispose();
  const lossAt = (moved: StateDict) => {
    const other = train(config, moved);
    const value = crossEntropy(asked(other));
    other.dispose();
    return value;
  };
  const names = [...state.keys()];
  expectDifferences(state, gradients, lossAt, { names, by: 1e-3, order: 2, within: 3e-3, floor: 1e-3 });
});

test("steps by the layer's own rate: AdamW's first step is the rate itself", () => {
  const { config, state } = make({ layer_decay: 0.5 });
  const trainer = train(config, state);
  trainer.step([batchOf(config)], rates(1e-3));
  const after = trainer.state().student;
  const moved = (name: string) =>
    Math.max(...after.get(name)!.data.map((v, i) => Math.abs(v - state.get(name)!.data[i]!)));
  // Depth 2: embeddings 0.5^3, blocks 0.5^2 and 0.5, head 1.
  expect(moved('head.bias')).toBeCloseTo(1e-3, 5);
  expect(moved('blocks.1.mlp.fc2.bias')).toBeCloseTo(0.5e-3, 5);
  expect(moved('blocks.0.mlp.fc2.bias')).toBeCloseTo(0.25e-3, 5);
  expect(moved('patch_embed.proj.bias')).toBeCloseTo(0.125e-3, 5);
  trainer.dispose();
});

test('leaves a branch out of the deeper blocks, and scales it up where it stays', () => {
  const { config } = make({ drop_path: 0.5 }, { depth: 3 });
  const images = 4000;
  const found = drawDropPath(images, config, draw('factors'));
  expect(found.map((one) => one !== null)).toEqual([false, false, true, true, true, true]);
  for (const [branch, kept] of [0.75, 0.75, 0.5, 0.5].entries()) {
    const factors = found[branch + 2]!;
    expect(new Set(factors)).toEqual(new Set([0, Math.fround(1 / kept)]));
    const mean = factors.reduce((a, v) => a + v, 0) / images;
    expect(Math.abs(mean - 1)).toBeLessThan(0.08); // 4 deviations and more
  }
});

test('a branch that is left out adds nothing', () => {
  const { config, state } = make();
  const trainer = train(config, state);
  const none = [null, null, new Float32Array(2), new Float32Array(2)];
  const { loss } = trainer.step([{ images, targets, dropPath: none }], rates(0));
  trainer.dispose();
  const shallow = make({}, { depth: 1 });
  const first = new Map([...state].filter(([name]) => !name.startsWith('blocks.1.')));
  const other = train(shallow.config, first);
  expect(loss).toBeCloseTo(crossEntropy(asked(other)), 6);
  other.dispose();
});

test('drops paths only in a step, and the same ones for the same draws', () => {
  const { config, state } = make({ drop_path: 0.5 });
  const lossOf = (name: string) => {
    const trainer = train(config, state);
    const { loss } = trainer.step([batchOf(config, name)], rates(0));
    const plain = crossEntropy(asked(trainer));
    trainer.dispose();
    return { loss, plain };
  };
  const [a, again] = [lossOf('a'), lossOf('a')];
  expect(a).toEqual(again);
  const losses = new Set(['b', 'c', 'd', 'e', 'f', 'g'].map((name) => lossOf(name).loss));
  expect(losses.size).toBeGreaterThan(1);
  expect(lossOf('b').plain).toBe(a.plain);
});

test('keeps no tensor from step to step, and learns', () => {
  const { config, state } = make({ drop_path: 0.1 });
  const trainer = train(config, state);
  const learn = (i: number) => trainer.step([batchOf(config, `${i}`)], rates(3e-3, 0.05)).loss;
  const first = learn(1);
  const tensors = tf.memory().numTensors;
  let last = first;
  for (let i = 0; i < 40; i++) last = learn(i);
  expect(tf.memory().numTensors).toBe(tensors);
  expect(last).toBeLessThan(first - 0.1);
  trainer.dispose();
});
