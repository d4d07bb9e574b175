import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { cosineSchedule } from '../../electron/engine/schedule.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import type { Uniform } from '../../shared/random.ts';
import { replayed } from '../../test/methods/fixture-checks.ts';
import { blockMask } from './mask.ts';

await loadBackend();
const fixture = (name: string) => join(import.meta.dirname, 'fixture', name);
const said = (name: string, file: string) => JSON.parse(readFileSync(join(fixture(name), file), 'utf8'));

test.each(['visible-1', 'visible-2'])(
  'losses, gradients, logits, centres, states and tokens are those of the published code: %s',
  async (name) => {
    const before = tf.memory().numTensors;
    const says = ['loss_cls', 'loss_patch', 'accuracy', 'teacher_entropy_cls', 'grad_norm_before_clip'];
    expect(await replayed(fixture(name), { says })).toEqual([]);
    expect(tf.memory().numTensors).toBe(before);
  },
);

test('schedules are those of the published code', () => {
  const { epochs, iterations, warmup_epochs, lr, weight_decay, momentum } = said('visible-1', 'fixture.json').schedules;
  const [n, warmup] = [epochs * iterations, warmup_epochs * iterations];
  for (let i = 0; i < n; i++) {
    expect(cosineSchedule(i, n, 5e-4, 1e-6, warmup)).toBeCloseTo(lr[i], 10);
    expect(cosineSchedule(i, n, 0.04, 0.4)).toBeCloseTo(weight_decay[i], 10);
    expect(cosineSchedule(i, n, 0.996, 1)).toBeCloseTo(momentum[i], 10);
  }
});

type Draw = ['uniform' | 'randint' | 'choice', number, number, number];
interface Case {
  grid: number;
  ratio: number[];
  ratio_var: number[];
  draws: Draw[];
  /** Of the mask, 1 = masked. */
  rows: string[];
}
const cases: Case[] = said('visible-1', 'masks.json');

test.each(cases.map((one, i) => [i, one] as const))('block masks of the published draws: %d', (_, one) => {
  expect(cases).toHaveLength(18);
  const draws = [...one.draws];
  // How large a share is wanted comes first.
  const shares = one.ratio.map((ratio, i) => (one.ratio_var[i]! > 0 ? draws.shift()![3] : ratio));
  const share = shares.length > 1 ? shares[draws.shift()![3]]! : shares[0]!;
  const random: Uniform = {
    next() {
      const [kind, from, to, value] = draws.shift()!;
      return kind === 'uniform' ? (value - from) / (to - from) : (value - from + 0.5) / (to - from + 1);
    },
  };
  expect([...blockMask(one.grid, share, random)]).toEqual([...one.rows.join('')].map(Number));
  expect(draws).toEqual([]);
});
