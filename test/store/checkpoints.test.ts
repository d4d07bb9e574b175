import { statSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { sortOut } from '../../electron/store/keep-policy.ts';
import type { TensorSequence } from '../../shared/tensors.ts';
import { CONFIG, catchError, metric, newStore, state } from './helpers.ts';

const at = (step: number, loss: number | null = null) => ({
  step,
  epoch: step / 2,
  loss,
  config: CONFIG,
  state: { seed: step },
});
const all = (seed: number, count?: number) => ({
  student: state(seed, count),
  teacher: state(seed + 0.1, count),
  exp_avg: state(seed + 0.2, count),
  exp_avg_sq: state(seed + 0.3, count),
});

describe('checkpoints', () => {
  test('come back equal, in order, with run step and metrics', () => {
    const { store, run } = newStore();
    const parts = all(1);
    // Views that are not at the start of their buffer, a scalar, and what floats can be.
    parts.student.set('view', { shape: [2], data: new Float32Array([1, 2, 3, 4]).subarray(1, 3) });
    parts.student.set('odd', { shape: [3], data: new Float32Array([Number.NaN, -0, Number.POSITIVE_INFINITY]) });
    parts.student.set('scalar', { shape: [], data: new Float32Array([7]) });
    const saved = store.checkpoints.save(run.id, { ...at(5, 0.5), metrics: [metric(4), metric(5)] }, parts);
    expect(saved).toMatchObject({
      run_id: run.id,
      step: 5,
      loss: 0.5,
      has_optimizer: true,
      is_best: true,
      config: CONFIG,
    });
    expect(saved.bytes).toBe(16 * 16 * 256 * 4 + 6 * 4);
    expect(store.checkpoints.get(saved.id)).toMatchObject({ ...saved, state: { seed: 5 } });
    for (const part of ['student', 'teacher', 'exp_avg', 'exp_avg_sq'] as const) {
      const loaded = store.checkpoints.load(saved.id, part);
      expect([...loaded.keys()]).toEqual([...parts[part].keys()]);
      for (const [name, { shape, data }] of parts[part]) {
        expect(loaded.get(name)!.shape).toEqual(shape);
        expect(Object.is(loaded.get(name)!.data.length, data.length)).toBe(true);
        expect(loaded.get(name)!.data.every((v, i) => Object.is(v, data[i]))).toBe(true);
      }
    }
    expect(store.checkpoints.tensorNames(saved.id).length).toBe(19);
    expect(store.runs.get(run.id).step).toBe(5);
    expect(store.metrics.count(run.id)).toBe(2);
  });

  test('tensors are written one at a time, and read when they are asked for', () => {
    const { store, run } = newStore();
    const { id } = store.checkpoints.save(run.id, at(1), all(1, 48));
    const written: number[] = [];
    function* large(): TensorSequence {
      for (let i = 0; i < 8; i++) {
        written.push(store.checkpoints.tensorNames(id).length);
        yield [`tensor ${i}`, { shape: [1000], data: new Float32Array(1000).fill(i) }];
      }
    }
    const { bytes } = store.checkpoints.save(run.id, at(1), { student: large() });
    expect(written).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(bytes).toBe(8 * 4000);
    const source = store.checkpoints.source(id, 'student');
    expect(source.get('tensor 5')).toEqual({ shape: [1000], data: new Float32Array(1000).fill(5) });
    expect(source.get('tensor 8')).toBeUndefined();
    expect(catchError(() => store.checkpoints.source(id, 'teacher'))).toMatchObject({ kind: 'not-found' });
    expect(catchError(() => store.checkpoints.source(99, 'student'))).toMatchObject({ kind: 'not-found' });
  });

  test('a save that fails half-way leaves what was there', () => {
    const { store, run } = newStore();
    const { id } = store.checkpoints.save(run.id, at(1), all(1, 48));
    function* failing(): TensorSequence {
      yield* state(2, 48);
      throw new Error('the device is gone');
    }
    expect(() => store.checkpoints.save(run.id, at(1), { student: state(2, 48), teacher: failing() })).toThrow(
      'the device is gone',
    );
    expect(store.checkpoints.load(id, 'student')).toEqual(state(1, 48));
    expect(store.checkpoints.load(id, 'exp_avg')).toEqual(state(1.2, 48));
  });

  test('a failing save leaves nothing', () => {
    const { store, run } = newStore();
    const bad = new Map([['x', { shape: [3], data: new Float32Array(2) }]]);
    expect(catchError(() => store.checkpoints.save(run.id, at(1), { student: bad }))).toMatchObject({
      kind: 'bad-input',
    });
    const broken = { ...metric(1), replaced: null as unknown as number };
    expect(
      catchError(() => store.checkpoints.save(run.id, { ...at(9), metrics: [metric(0), broken] }, all(1))),
    ).not.toBeNull();
    expect(catchError(() => store.checkpoints.save(99, at(1), all(1)))).toMatchObject({ kind: 'not-found' });
    expect([store.checkpoints.list(run.id), store.metrics.count(run.id), store.runs.get(run.id).step]).toEqual([
      [],
      0,
      0,
    ]);
  });

  test('the same step again replaces it under its id, and keeps the loss', () => {
    const { store, run } = newStore();
    const first = store.checkpoints.save(run.id, at(5, 0.5), all(1));
    const second = store.checkpoints.save(run.id, at(5), { student: state(2) });
    expect(second).toMatchObject({ id: first.id, loss: 0.5, has_optimizer: false, is_best: true });
    expect(store.checkpoints.load(first.id, 'student')).toEqual(state(2));
    expect(catchError(() => store.checkpoints.load(first.id, 'exp_avg'))).toMatchObject({ kind: 'not-found' });
    expect(catchError(() => store.checkpoints.load(99, 'student'))).toMatchObject({ kind: 'not-found' });
  });

  test('the policy keeps the last whole, the best and every so many epochs as weights', () => {
    const { store, run, path } = newStore();
    const losses = [9, 8, 1, 7, 6, 5, 4, 3];
    // 2 steps an epoch, one checkpoint an epoch; 3 MB each.
    for (const [i, loss] of losses.entries()) store.checkpoints.save(run.id, at(2 * (i + 1), loss), all(i, 48));
    const big = statSync(path).size;
    const policy = { keep_last: 2, keep_best: true, keep_every_epochs: 5 };
    const steps = store.checkpoints.list(run.id).map((c) => c.id);
    const { deleted, stripped } = store.checkpoints.applyKeepPolicy(run.id, policy);
    expect(deleted).toEqual([steps[0], steps[1], steps[3], steps[5]]);
    expect(stripped).toEqual([steps[2], steps[4]]);
    const left = store.checkpoints.list(run.id);
    expect(left.map((c) => [c.step, c.has_optimizer, c.is_best])).toEqual([
      [6, false, true],
      [10, false, false],
      [14, true, false],
      [16, true, false],
    ]);
    expect(store.checkpoints.load(steps[2]!, 'teacher')).toEqual(state(2.1, 48));
    expect(left[0]!.bytes).toBe(left[3]!.bytes / 2);
    // 8 checkpoints were there; 2 whole and 2 halves are, and at most one more as room for the next.
    expect(statSync(path).size).toBeLessThan((big * 4.3) / 8);
    expect(store.checkpoints.latest(run.id)!.step).toBe(16);
    expect(store.checkpoints.applyKeepPolicy(run.id, policy)).toEqual({ deleted: [], stripped: [] });
  });

  test('deleting gives space back', () => {
    const { store, run, path } = newStore();
    const ids = [1, 2, 3].map((step) => store.checkpoints.save(run.id, at(step, step), all(step, 48)).id);
    const before = statSync(path).size;
    const freed = store.checkpoints.delete(ids[0]!);
    expect(freed).toBeGreaterThanOrEqual(3 * 2 ** 20);
    expect(statSync(path).size).toBe(before - freed);
    expect(statSync(`${path}-wal`).size).toBe(0);
    expect(store.checkpoints.list(run.id).map((c) => [c.id, c.is_best])).toEqual([
      [ids[1], true],
      [ids[2], false],
    ]);
    store.runs.delete(run.id);
    expect(statSync(path).size).toBeLessThan(before - 2.9 * freed); // all three, but for a page
    expect(catchError(() => store.checkpoints.get(ids[1]!))).toMatchObject({ kind: 'not-found' });
  });

  test('latest with optimizer state is the one to go on from', () => {
    const { store, run } = newStore();
    expect(store.checkpoints.latest(run.id)).toBeNull();
    store.checkpoints.save(run.id, at(1), all(1));
    store.checkpoints.save(run.id, at(2), { student: state(2) });
    expect(store.checkpoints.latest(run.id)!.step).toBe(2);
    expect(store.checkpoints.latest(run.id, { withOptimizer: true })!.step).toBe(1);
  });
});

test('sortOut: nothing beyond the last without best and epochs; irregular steps take the first of each period', () => {
  const made = (steps: number[], best = 0) =>
    steps.map((step) => ({
      id: step,
      step,
      epoch: Math.floor(step / 10),
      is_best: step === best,
      has_optimizer: true,
    }));
  const policy = { keep_last: 1, keep_best: false, keep_every_epochs: null };
  expect(sortOut(made([1, 2, 3], 1), policy)).toEqual({ remove: [1, 2], strip: [] });
  expect(sortOut(made([3, 12, 19, 25, 48, 49, 50]), { ...policy, keep_every_epochs: 1 })).toEqual({
    remove: [3, 19, 49],
    strip: [12, 25, 48],
  });
});
