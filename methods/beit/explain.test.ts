import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { normalisePixels, stack } from '../../electron/data/centre.ts';
import { stream } from '../../electron/data/random.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { wholeNetwork } from '../../electron/services/ground/networks.ts';
import { untrainedState } from '../../electron/trainer/training.ts';
import { tinyConfig } from '../../test/methods/tiny.ts';
import { METHODS } from '../index.ts';
import { assignmentOf, explanationOf } from '../steps.ts';
import { CODES } from '../tokenizer/specs.ts';

await loadBackend();

const IMAGES = 3;
const FAMILY = METHODS.filter(({ explains }) => explains.some(({ view }) => view === 'Codes' || view === 'Tokens'));

describe.each(FAMILY)('$name', (method) => {
  const config = tinyConfig(method);
  const side = config.model.image_size;
  const K = (side / config.model.patch_size) ** 2;

  test('the patches of a code are those that have it in the map of their image', async () => {
    const random = stream(9, 0, 0, 'pictures');
    const pixels = Array.from({ length: IMAGES }, () =>
      Uint8Array.from({ length: side * side * 3 }, () => 256 * random.next()),
    );
    const images = pixels.map((one) => normalisePixels(one, config.augment));
    // Codes begin with the first batch, which there is none of here: some, of unit length.
    const state = untrainedState(config);
    const codes = [...state].find(([name]) => name.endsWith(CODES))![1];
    const width = codes.shape[1]!;
    for (let at = 0; at < codes.data.length; at += width) {
      const row = Float32Array.from({ length: width }, () => random.next() - 0.5);
      codes.data.set(
        row.map((value) => value / Math.hypot(...row)),
        at,
      );
    }
    const network = wholeNetwork(config, state);
    const of = { config, lacks: [] };
    const { assign, groups } = await assignmentOf(of, 'members');
    expect(groups.of).toBe('patches');
    const [rows, V] = tf.tidy(() => {
      const scores = assign(network, stack(images), config);
      return [Array.from(tf.argMax(scores, 1).dataSync()), scores.shape[1]!] as const;
    });
    expect(rows).toHaveLength(IMAGES * K);
    const { explain } = await explanationOf(of, method.explains[0]!.key);
    const hidden = Uint8Array.from({ length: K }, (_, i) => i % 2);
    for (const [i, one] of pixels.entries()) {
      const { maps } = await explain(network, { pixels: one, image: images[i]!, mask: hidden }, config);
      expect(maps.codes).toEqual(rows.slice(i * K, (i + 1) * K).map((code) => code + 1)); // counted from 1
      expect(Math.max(...(maps.codes as number[]))).toBeLessThanOrEqual(V);
    }
    expect(new Set(rows).size).toBeGreaterThan(1);
    network.dispose();
  });
});
