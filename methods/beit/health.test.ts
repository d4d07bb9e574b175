import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { Trainer } from '../../electron/engine/trainer.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { wholeNetwork } from '../../electron/services/ground/networks.ts';
import { untrainedSource, untrainedState } from '../../electron/trainer/training.ts';
import type { RunConfig } from '../../shared/config.ts';
import { tinyConfig } from '../../test/methods/tiny.ts';
import { healthOf } from '../health.ts';
import { METHODS, parseRunConfig } from '../index.ts';
import { stepOf } from '../steps.ts';
import { health } from './health.ts';

await loadBackend();

const IMAGES = 4;
const random = stream(5, 0, 0, 'images');

describe.each(METHODS.filter(({ name }) => ['beit', 'mc-beit', 'peco'].includes(name)))('$name', (method) => {
  const tiny = tinyConfig(method) as RunConfig & { tokenizer: object };
  const { image_size: side, patch_size } = tiny.model;
  // The tokenizer's cells are as large as the student's patches: both see the same pixels.
  const config = parseRunConfig({ ...tiny, tokenizer: { ...tiny.tokenizer, patch_size } });
  const K = (side / patch_size) ** 2;

  test('what it says of hidden patches is what a step on the same images says', async () => {
    const views = method.views(config);
    const images = Float32Array.from({ length: IMAGES * side * side * 3 }, () => 4 * random.next() - 2);
    const masks = Array.from({ length: IMAGES }, (_, i) =>
      Uint8Array.from({ length: K }, (__, k) => +((k + i) % 3 > 0)),
    );
    const mask = Float32Array.from(masks.flatMap((one) => [...one]));
    const start = untrainedSource(config);
    const trainer = new Trainer(stepOf(config), config, start, start);
    expect(views.map((view) => view.side)).toEqual([side, side]);
    const batch = { views: Object.fromEntries(views.map(({ name }) => [name, images])), mask };
    const { figures } = trainer.step([batch], { lr: 0, weight_decay: 0, momentum: 1 });
    trainer.dispose();

    const before = tf.memory().numTensors;
    const network = wholeNetwork(config, untrainedState(config));
    const measure = (await healthOf(config))!.measure(config);
    // In two batches, of one image and of three: a mean over patches, not over batches.
    for (const [from, to] of [[0, 1], [1, IMAGES]] as const) // biome-ignore format: a pair a batch
      measure.add(
        { student: network, teacher: null },
        { images: images.subarray(from * side * side * 3, to * side * side * 3), masks: masks.slice(from, to) },
      );
    network.dispose();
    expect(tf.memory().numTensors).toBe(before);
    const found = measure.result();
    expect(found.figures.accuracy).toBeCloseTo(figures.accuracy!, 9);
    expect(found.references.frequent).toBeCloseTo(figures.frequent!, 9);
    expect(found.references.patches).toBe(IMAGES * K);
    expect(found.figures.tokens).toBeGreaterThanOrEqual(1);
    expect(found.sets.patches!.features).toHaveLength(IMAGES * K * config.model.embed_dim);
  });
});

test('the verdict says what the figures say', () => {
  const set = { width: 64, rows: 9, rank: 30, cosine: 0.5, uniformity: -2, dead: 0, singular: [], deviations: [] };
  const network = (figures: object) => ({
    sets: { patches: set, images: set },
    figures: { accuracy: 0.3, tokens: 90, place_share: 0.2, ...figures },
  });
  const config = tinyConfig(METHODS.find(({ name }) => name === 'beit')!);
  const levels = (figures: object, untrained: object = { accuracy: 0.01 }) =>
    health
      .findings(
        {
          trained: network(figures),
          untrained: network(untrained),
          references: { frequent: 0.1, codes: 256, patches: 5000, place_share_chance: 0.01 },
        } as never,
        config,
      )
      .map(({ level }) => level);
  expect(levels({})).toEqual(['good', 'good', 'good', 'good', 'good', 'note']);
  expect(levels({ accuracy: 0.09 })[0]).toBe('bad');
  expect(levels({ accuracy: 0.2 }, { accuracy: 0.25 })[0]).toBe('bad');
  expect(levels({ tokens: 31 })[1]).toBe('bad'); // an eighth of 256 is 32
});
