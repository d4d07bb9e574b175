import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { catchError, metric, newStore } from './helpers.ts';

test('means of many steps are of those at which a figure was measured, through blocks as well', () => {
  const { store, run } = newStore();
  const at = (step: number) => ({
    always: step,
    ...(step % 50 === 0 && { seldom: step / 7 }),
    ...(step > 1000 && { late: 3 }),
    never: null,
  });
  store.metrics.add(
    run.id,
    Array.from({ length: 2000 }, (_, i) => metric(i + 1, { figures: at(i + 1) })),
  );
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  for (const points of [4, 100]) {
    const sampled = store.metrics.sampled(run.id, points); // four from blocks, a hundred from steps
    expect(sampled).toHaveLength(points);
    for (const [i, { figures }] of sampled.entries()) {
      const steps = Array.from({ length: 2000 / points }, (_, n) => (i * 2000) / points + n + 1);
      const seldom = steps.filter((step) => step % 50 === 0);
      expect(figures.always).toBeCloseTo(mean(steps), 9);
      expect(figures.never).toBeNull();
      if (seldom.length > 0) expect(figures.seldom).toBeCloseTo(mean(seldom) / 7, 9);
      else expect(figures).not.toHaveProperty('seldom');
      expect(figures.late).toBe(steps.at(-1)! > 1000 ? 3 : undefined);
    }
  }
});

test('means follow rows that are written again, or in pieces', () => {
  const { store, run } = newStore();
  const rows = (from: number, to: number, loss: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => metric(from + i, { loss }));
  for (let from = 1; from <= 100; from += 10) store.metrics.add(run.id, rows(from, from + 9, 1));
  const losses = () => store.metrics.sampled(run.id, 2).map(({ loss }) => loss);
  expect(losses()).toEqual([1, 1]);
  store.metrics.add(run.id, rows(41, 45, 9));
  expect(losses()).toEqual([expect.closeTo(1 + (5 * 8) / 60), 1]); // three blocks, and two
  store.metrics.deleteAfter(run.id, 60);
  store.metrics.add(run.id, rows(61, 100, 3));
  expect(losses()).toEqual([expect.closeTo(1 + (5 * 8) / 60), 3]);
});

test('the last step at which one of some figures was measured', () => {
  const { store, run } = newStore();
  store.metrics.add(run.id, [
    metric(1, { figures: { rank: 5 } }),
    metric(2, { figures: { rank: null, 'an "odd" name': 1 } }),
    metric(3, { figures: { 'the rank': 4 } }),
  ]);
  const step = (...keys: string[]) => store.metrics.lastWith(run.id, keys)?.step;
  expect([step('rank'), step('rank', 'an "odd" name'), step('none'), step()]).toEqual([1, 2, undefined, undefined]);
});

test('a record that is not as it was written is said in words', () => {
  const { store, run, path } = newStore();
  store.metrics.add(
    run.id,
    Array.from({ length: 50 }, (_, i) => metric(i + 1)),
  );
  const db = new Database(path);
  db.prepare(`UPDATE metrics SET figures = '{"top1":' WHERE step = 7`).run();
  db.close();
  for (const read of [() => store.metrics.list(run.id), () => store.metrics.sampled(run.id, 20)])
    expect(catchError(read)).toMatchObject({ kind: 'bad-file' });
});
