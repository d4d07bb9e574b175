import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  benchConfig,
  firstConfig,
  timeSteps,
  trainedNumbers,
  untrainedEngine,
  workOf,
} from '../../electron/bench/step.ts';
import { isTensorFlow } from '../../electron/engine/kernels/device.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { METHODS, PRESETS, parseRunConfig } from '../../methods/index.ts';

beforeAll(async () => {
  await loadBackend();
});

const TINY = ['model.embed_dim=16', 'model.depth=1', 'model.num_heads=2'];

describe.each(METHODS.map((method) => [method.name, method] as const))('a step of %s', (name, method) => {
  test('is measured in the sizes of its default preset, and leaves no tensor', () => {
    const config = benchConfig({ method: name, batch: 2, set: TINY });
    const preset = PRESETS.find((one) => one.name === method.defaultPreset)!;
    const { image_size, patch_size } = parseRunConfig(preset.config).model;
    expect(config.model).toMatchObject({ image_size, patch_size, embed_dim: 16, depth: 1 });
    const before = tf.memory().numTensors;
    const { seconds, flops_per_image } = timeSteps(config, 2, 2);
    expect(tf.memory().numTensors).toBe(before);
    expect(seconds).toHaveLength(2);
    for (const s of seconds) expect(s).toBeGreaterThan(0);
    if (isTensorFlow()) expect(flops_per_image).toBeGreaterThan(0);

    // What is trained is what the optimizer keeps a moment of.
    const engine = untrainedEngine(config, {});
    const moments = [...engine.state().exp_avg.values()].reduce((sum, { data }) => sum + data.length, 0);
    engine.dispose();
    expect(trainedNumbers(config)).toBe(moments);
  });

  test('says what another program has to compute', () => {
    const config = benchConfig({ method: name, batch: 4 });
    const { views, masked, masked_views } = workOf(config, 4);
    expect(Object.keys(views)).toEqual(method.views(config).map((view) => view.name));
    const K = (config.model.image_size / config.model.patch_size) ** 2;
    expect(masked > 0).toBe(method.mask !== null);
    expect(masked).toBeLessThanOrEqual(4 * K * masked_views);
  });
});

test('a run that takes over a network is measured with that of the first preset that can lend', () => {
  const of = METHODS.find(({ borrows, mask }) => borrows && mask)!;
  const [borrowing] = of.borrows!(benchConfig({ method: of.name }));
  const lender = PRESETS.map((preset) => parseRunConfig(preset.config)).find(
    (one) => borrowing!.refuses(one) === null,
  )!;
  const config = benchConfig({ method: of.name }) as unknown as Record<string, Record<string, unknown>>;
  for (const [key, value] of Object.entries(borrowing!.takes(lender))) {
    const [section, field] = key.split('.') as [string, string];
    expect(config[section]![field], key).toEqual(value);
  }
  // Of what is asked for itself nothing is taken over.
  expect(benchConfig({ method: of.name, set: ['tokenizer.codes=9'] })).toMatchObject({ tokenizer: { codes: 9 } });
});

test('a published size has the published settings of its method', () => {
  for (const { name } of METHODS) {
    const { model } = benchConfig({ method: name, model: 'vit-small', image: 224, patch: 16 });
    expect(model).toMatchObject({ embed_dim: 384, depth: 12, image_size: 224, patch_size: 16 });
  }
  expect(firstConfig({ model: 'vit-small', image: 32, patch: 8 })).toMatchObject({
    method: { name: METHODS[0]!.name },
    mask: { kind: 'uniform' },
  });
});

test.each([
  [{ method: 'nothing' }, 'There is no method "nothing".'],
  [{ method: METHODS[0]!.name, model: 'vit' }, 'There is no model "vit".'],
  [{ method: METHODS[0]!.name, image: 30 }, 'must be a multiple of model.patch_size'],
  [{ method: METHODS[0]!.name, set: ['model.width=2'] }, 'There is no setting "model.width".'],
])('refused: %o', (choice, message) => {
  expect(() => benchConfig(choice)).toThrow(message);
});
