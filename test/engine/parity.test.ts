import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSafetensors } from '../../electron/formats/safetensors.ts';
import { replay } from '../../electron/services/replay.ts';
import { loadBackend } from '../../electron/trainer/backend.ts';
import type { StateDict } from '../../shared/domain.ts';

/** The published code's own results: test/fixtures/README.md says how near fp32 can come. */
const FIXTURES = join(import.meta.dirname, '../fixtures');
const backend = await loadBackend();
const load = (folder: string, name: string) => readSafetensors(join(folder, `${name}.safetensors`)).tensors;
const get = (state: StateDict, name: string) => state.get(name)!.data;

describe.each(['relpos', 'abspos'])('replay of %s', (fixture) => {
  const from = join(FIXTURES, fixture);
  const to = mkdtempSync(join(tmpdir(), 'replay-'));
  const said = JSON.parse(readFileSync(join(from, 'fixture.json'), 'utf8'));
  beforeAll(() => {
    replay(from, to);
  });
  afterAll(() => rmSync(to, { recursive: true }));

  test('runs on TensorFlow, or says that it does not', (context) => {
    if (backend.name !== 'tensorflow') context.skip(`no TensorFlow: ${backend.why}`);
    expect(backend.name).toBe('tensorflow');
  });

  test('losses, gradient norms and look-ups', () => {
    const { steps } = JSON.parse(readFileSync(join(to, 'result.json'), 'utf8'));
    expect(steps).toHaveLength(said.steps.length);
    said.steps.forEach((want: { loss: number; grad_norm_before_clip: number; lookup_top1: number }, i: number) => {
      expect(Math.abs(steps[i].loss / want.loss - 1)).toBeLessThan(1e-5);
      expect(Math.abs(steps[i].grad_norm_before_clip / want.grad_norm_before_clip - 1)).toBeLessThan(1e-4);
      expect(steps[i].lookup_top1).toBeCloseTo(want.lookup_top1, 6);
    });
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
});

test('a fixture without results and features replays too', () => {
  const from = mkdtempSync(join(tmpdir(), 'bare-'));
  cpSync(join(FIXTURES, 'abspos'), from, { recursive: true });
  const said = JSON.parse(readFileSync(join(from, 'fixture.json'), 'utf8'));
  const steps = said.steps.map(({ lr, weight_decay, momentum }: Record<string, number>) => ({
    lr,
    weight_decay,
    momentum,
  }));
  writeFileSync(join(from, 'fixture.json'), JSON.stringify({ ...said, steps }));
  for (const name of ['gradients.step0', 'features.step0', 'tokens.eval', 'student.final', 'teacher.final'])
    rmSync(join(from, `${name}.safetensors`));
  const got = replay(from, join(from, 'out'));
  expect(got.map((s) => s.loss)[0]).toBeCloseTo(said.steps[0].loss, 4);
  rmSync(from, { recursive: true });
});
