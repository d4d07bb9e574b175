import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { Trainer } from '../../electron/engine/trainer.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { wholeNetwork } from '../../electron/services/ground/networks.ts';
import { untrainedSource } from '../../electron/trainer/training.ts';
import { tinyConfig } from '../../test/methods/tiny.ts';
import { stepOf } from '../steps.ts';
import { health } from './health.ts';
import { method } from './method.ts';

await loadBackend();
const config = tinyConfig(method);
const { image_size: side, patch_size } = config.model;

test('pictures of codes are as far from images as a step says', () => {
  const random = stream(5, 0, 0, 'images');
  const images = Float32Array.from({ length: 4 * side * side * 3 }, () => 2 * random.next() - 1);
  const start = untrainedSource(config);
  const trainer = new Trainer(stepOf(config), config, start, start);
  const rates = { lr: 0, weight_decay: 0, momentum: 1 };
  const name = method.views(config)[0]!.name;
  const step = () => trainer.step([{ views: { [name]: images }, mask: new Float32Array() }], rates);
  step(); // the codebook begins
  const { student } = trainer.state();
  const { figures } = step();
  trainer.dispose();

  const before = tf.memory().numTensors;
  const network = wholeNetwork(config, student);
  const measure = health.measure(config);
  const masks = Array.from({ length: 4 }, () => new Uint8Array((side / patch_size) ** 2));
  measure.add({ student: network, teacher: null }, { images, masks });
  network.dispose();
  expect(tf.memory().numTensors).toBe(before);
  const found = measure.result();
  expect(found.figures.error! / figures.squared!).toBeCloseTo(1, 4);
  expect(found.figures.perplexity! / figures.perplexity!).toBeCloseTo(1, 5);
  // Cells in their mean colour, by plain loops.
  let square = 0;
  const [grid, p] = [side / patch_size, patch_size];
  for (let image = 0; image < 4; image++)
    for (let cell = 0; cell < grid ** 2; cell++)
      for (let c = 0; c < 3; c++) {
        const values = Array.from({ length: p * p }, (_, i) => {
          const [y, x] = [Math.floor(cell / grid) * p + Math.floor(i / p), (cell % grid) * p + (i % p)];
          return images[((image * side + y) * side + x) * 3 + c]!;
        });
        const mean = values.reduce((a, b) => a + b) / values.length;
        square += values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
      }
  expect(found.references.flat! / (square / images.length)).toBeCloseTo(1, 4);
});

test('the verdict says what the figures say', () => {
  const set = { width: 64, rows: 9, rank: 30, cosine: 0.5, uniformity: -2, dead: 0, singular: [], deviations: [] };
  const network = (figures: object) => ({
    sets: { vectors: set, images: set },
    figures: { error: 0.02, perplexity: 90, dead: 0.1, ...figures },
  });
  const levels = (figures: object) =>
    health
      .findings(
        {
          trained: network(figures),
          untrained: network({ error: 0.4 }),
          references: { flat: 0.05, codes: 256, cells: 5000 },
        } as never,
        config,
      )
      .map(({ level }) => level);
  expect(levels({})).toEqual(['good', 'good', 'good', 'good']);
  expect(levels({ error: 0.06 })[0]).toBe('bad');
  expect(levels({ perplexity: 31 })[1]).toBe('bad');
});
