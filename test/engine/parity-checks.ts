import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readSafetensors } from '../../electron/formats/safetensors.ts';
import type { StateDict } from '../../shared/tensors.ts';

/** The published code's own results: test/fixtures/README.md says how near fp32 can come. */
export const FIXTURES = join(import.meta.dirname, '../fixtures');
const load = (folder: string, name: string) => readSafetensors(join(folder, `${name}.safetensors`)).tensors;
const get = (state: StateDict, name: string) => state.get(name)!.data;

/** Tests that compare what a replay wrote with what the published code gave. @param to is there when they run */
export function parityChecks(fixture: string, to: string): void {
  const from = join(FIXTURES, fixture);
  const said = JSON.parse(readFileSync(join(from, 'fixture.json'), 'utf8'));

  test('losses, gradient norms and look-ups', () => {
    const { steps } = JSON.parse(readFileSync(join(to, 'result.json'), 'utf8'));
    expect(steps).toHaveLength(said.steps.length);
    said.steps.forEach((want: { loss: number; grad_norm_before_clip: number; lookup_top1: number }, i: number) => {
      expect(Math.abs(steps[i].loss / want.loss - 1)).toBeLessThan(1e-5);
      expect(Math.abs(steps[i].grad_norm_before_clip / want.grad_norm_before_clip - 1)).toBeLessThan(1e-4);
      expect(steps[i].lookup_top1).toBeCloseTo(want.lookup_top1, 6);
    });
  });

  test('queries and keys of the first step', () => {
    const [want, got] = [load(from, 'features.step0'), load(to, 'features.step0')];
    for (const name of ['queries', 'keys']) {
      expect(got.get(name)!.shape).toEqual(want.get(name)!.shape);
      const off = get(want, name).reduce((a, v, i) => Math.max(a, Math.abs(v - get(got, name)[i]!)), 0);
      expect(off, name).toBeLessThan(1e-4);
    }
  });

  test('gradients of the first step, within 1e-4 of the largest value of each', () => {
    const [want, got] = [load(from, 'gradients.step0'), load(to, 'gradients.step0')];
    expect([...got.keys()].sort()).toEqual([...want.keys()].sort());
    for (const [name, { data, shape }] of want) {
      if (name === 'norm.bias') continue; // truly zero: what is stored is rounding
      expect(got.get(name)!.shape, name).toEqual(shape);
      const largest = data.reduce((a, v) => Math.max(a, Math.abs(v)), 0);
      const off = data.reduce((a, v, i) => Math.max(a, Math.abs(v - get(got, name)[i]!)), 0);
      expect(off / largest, name).toBeLessThan(1e-4);
    }
  });

  test.each(['student', 'teacher'])('final %s, within 1e-2 of how far each tensor moved', (who) => {
    const [init, want, got] = [load(from, `${who}.init`), load(from, `${who}.final`), load(to, `${who}.final`)];
    expect([...got.keys()].sort()).toEqual([...want.keys()].sort());
    const norm = (a: Float32Array, b: Float32Array) => Math.sqrt(a.reduce((sum, v, i) => sum + (v - b[i]!) ** 2, 0));
    for (const [name, { data }] of want) {
      if (name === 'norm.bias') continue;
      const moved = norm(data, get(init, name));
      const off = norm(data, get(got, name));
      expect(off, name).toBeLessThanOrEqual(1e-2 * moved + 1e-7);
    }
  });

  test('tokens of the student after the last step', () => {
    const [want, got] = [load(from, 'tokens.eval'), load(to, 'tokens.eval')];
    expect(got.get('tokens')!.shape).toEqual(want.get('tokens')!.shape);
    expect(get(got, 'input')).toEqual(get(want, 'input'));
    const off = get(want, 'tokens').reduce((a, v, i) => Math.max(a, Math.abs(v - get(got, 'tokens')[i]!)), 0);
    expect(off).toBeLessThan(1e-3);
  });
}
