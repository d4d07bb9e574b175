import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { firstBatch } from '../../electron/bench/replay.ts';
import { FrozenNetwork } from '../../electron/engine/inference.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import type { ConMIMBatch, ConMIMConfig } from '../../methods/conmim/step.ts';
import { gridOf, type ModelConfig, patchesOf } from '../../shared/config.ts';
import type { StateDict } from '../../shared/tensors.ts';

await loadBackend();
type Rows = Float64Array[];

/** `[rows][in]` by a published weight `[out, in]`, in double precision, one sum after the other. */
const times = (x: Rows, weight: Float32Array, bias: ArrayLike<number>): Rows =>
  x.map((row) =>
    Float64Array.from(bias, (b, o) => row.reduce((sum, v, i) => sum + v * weight[o * row.length + i]!, b)),
  );

function norm(x: Rows, weight: Float32Array, bias: Float32Array, eps: number): Rows {
  return x.map((row) => {
    const mean = row.reduce((a, b) => a + b, 0) / row.length;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / row.length;
    return row.map((v, i) => ((v - mean) / Math.sqrt(variance + eps)) * weight[i]! + bias[i]!);
  });
}

/** erf by its series, which is exact enough for the values that stand here. */
function erf(x: number): number {
  let [term, sum] = [x, x];
  for (let n = 1; n < 200 && Math.abs(term) > 1e-17; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return Math.abs(x) > 5 ? Math.sign(x) : (2 / Math.sqrt(Math.PI)) * sum;
}

/**
 * The published forward pass of one image in plain loops, sharing nothing with the engine.
 * @param given attention to use in the place of what is computed: `[depth][heads * n * n]`
 */
function plain(image: Float32Array, state: StateDict, model: ModelConfig, given?: Float32Array[]) {
  const get = (name: string) => state.get(name)!.data;
  const { embed_dim: dim, num_heads: heads, patch_size: size, image_size: side } = model;
  const [g, n, width] = [gridOf(model), patchesOf(model) + 1, dim / heads];
  const pixels: Rows = Array.from({ length: n - 1 }, (_, patch) => {
    const row = new Float64Array(3 * size * size);
    for (let c = 0; c < 3; c++)
      for (let y = 0; y < size; y++)
        for (let x = 0; x < size; x++) {
          const at = (Math.floor(patch / g) * size + y) * side + (patch % g) * size + x;
          row[(c * size + y) * size + x] = image[at * 3 + c]!;
        }
    return row;
  });
  let t: Rows = [
    Float64Array.from(get('cls_token')),
    ...times(pixels, get('patch_embed.proj.weight'), get('patch_embed.proj.bias')),
  ];
  if (model.position === 'absolute') t = t.map((row, i) => row.map((v, d) => v + get('pos_embed')[i * dim + d]!));
  const span = 2 * g - 1;
  const biasRow = (i: number, j: number) => {
    if (i === 0) return span * span + (j === 0 ? 2 : 0);
    if (j === 0) return span * span + 1;
    const [yi, xi, yj, xj] = [Math.floor((i - 1) / g), (i - 1) % g, Math.floor((j - 1) / g), (j - 1) % g];
    return (yi - yj + g - 1) * span + xi - xj + g - 1;
  };
  const bias = (head: number, i: number, j: number) =>
    model.position === 'shared-relative-bias'
      ? get('rel_pos_bias.relative_position_bias_table')[biasRow(i, j) * heads + head]!
      : 0;
  const seen: Float64Array[] = [];
  for (let b = 0; b < model.depth; b++) {
    const at = (name: string) => get(`blocks.${b}.${name}`);
    const add = (branch: Rows, gamma: string) => {
      const scale = state.get(`blocks.${b}.${gamma}`)?.data;
      t = t.map((row, i) => row.map((v, d) => v + (scale ? scale[d]! : 1) * branch[i]![d]!));
    };
    const none = new Float64Array(dim);
    const qkv = times(norm(t, at('norm1.weight'), at('norm1.bias'), model.layer_norm_eps), at('attn.qkv.weight'), [
      ...at('attn.q_bias'),
      ...none,
      ...at('attn.v_bias'),
    ]);
    const probabilities = new Float64Array(heads * n * n);
    const mixed: Rows = Array.from({ length: n }, () => new Float64Array(dim));
    for (let head = 0; head < heads; head++)
      for (let i = 0; i < n; i++) {
        const raised = Array.from({ length: n }, (_, j) => {
          let dot = 0;
          for (let w = 0; w < width; w++) dot += qkv[i]![head * width + w]! * qkv[j]![dim + head * width + w]!;
          return Math.exp(dot / Math.sqrt(width) + bias(head, i, j));
        });
        const sum = raised.reduce((x, y) => x + y, 0);
        for (let j = 0; j < n; j++) {
          const place = (head * n + i) * n + j;
          probabilities[place] = raised[j]! / sum;
          const used = given ? given[b]![place]! : probabilities[place]!;
          for (let w = 0; w < width; w++) mixed[i]![head * width + w]! += used * qkv[j]![2 * dim + head * width + w]!;
        }
      }
    seen.push(probabilities);
    add(times(mixed, at('attn.proj.weight'), at('attn.proj.bias')), 'gamma_1');
    const hidden = times(
      norm(t, at('norm2.weight'), at('norm2.bias'), model.layer_norm_eps),
      at('mlp.fc1.weight'),
      at('mlp.fc1.bias'),
    ).map((row) => row.map((v) => (v / 2) * (1 + erf(v / Math.SQRT2))));
    add(times(hidden, at('mlp.fc2.weight'), at('mlp.fc2.bias')), 'gamma_2');
  }
  return { seen, tokens: norm(t, get('norm.weight'), get('norm.bias'), model.layer_norm_eps) };
}

const largest = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!)), 0);

describe.each(['relpos', 'abspos'])('attention of every block, on %s', async (fixture) => {
  const { config, states, batch } = await firstBatch<ConMIMConfig, ConMIMBatch>(
    join(import.meta.dirname, '../fixtures', fixture),
  );
  const { model } = config;
  const n = patchesOf(model) + 1;
  const image = (batch.views.student as Float32Array).subarray(0, model.image_size ** 2 * 3);
  const network = new FrozenNetwork(model, config.projector, states.student);
  const blocks: Float32Array[] = [];
  network.attention(image, (block, probabilities) => {
    expect(block).toBe(blocks.length);
    expect(probabilities.shape).toEqual([1, model.num_heads, n, n]);
    blocks.push((probabilities.dataSync() as Float32Array).slice());
  });
  const own = plain(image, states.student, model);

  test('every row sums to one, in every head of every block', () => {
    expect(blocks).toHaveLength(model.depth);
    for (const block of blocks)
      for (let row = 0; row < model.num_heads * n; row++)
        expect(block.subarray(row * n, (row + 1) * n).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
  });

  test('equals plain loops in double precision, heads told apart', () => {
    blocks.forEach((block, b) => {
      expect(largest(block, own.seen[b]!), `block ${b}`).toBeLessThan(1e-5);
    });
    expect(largest(blocks[0]!.subarray(0, n * n), blocks[0]!.subarray(n * n, 2 * n * n))).toBeGreaterThan(1e-3);
  });

  test('the tokens that follow from what was shown are those that encode gives', () => {
    const tokens = plain(image, states.student, model, blocks).tokens.flatMap((row) => [...row]);
    expect(largest(network.tokens(image), tokens)).toBeLessThan(1e-4);
  });

  test('tokens after fewer blocks are those of a shorter network', () => {
    const short = plain(image, states.student, { ...model, depth: 1 }).tokens.flatMap((row) => [...row]);
    expect(largest(network.tokens(image, 1), short)).toBeLessThan(1e-4);
    expect(largest(network.tokens(image, model.depth), network.tokens(image))).toBe(0);
    expect(largest(network.tokens(image, 1), network.tokens(image))).toBeGreaterThan(1e-2);
  });

  test('keeps no tensor', () => {
    const before = tf.memory().numTensors;
    network.attention(image, () => {});
    network.tokens(image, 1);
    expect(tf.memory().numTensors).toBe(before);
  });
});
