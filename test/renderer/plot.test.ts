import { expect, test } from 'vitest';
import { isResult, isSetting, scaleOf, telling } from '../../renderer/views/runs/plot.ts';
import type { Column, Row } from '../../renderer/views/runs/table.ts';

const column = (kind: Column['kind'], title = 'x'): Column => ({
  ...{ key: title, title, kind },
  ...{ group: 'Figures', isUsual: true },
});

test('numbers stand where they are, from the least to the greatest with some room', () => {
  const { place, ticks, isLog } = scaleOf(column('number'), [0, 5, null, 10], 5);
  expect(isLog).toBe(false);
  expect(place(5)).toBeCloseTo(0.5, 9);
  expect(place(0)!).toBeGreaterThan(0);
  expect(place(10)! - place(5)!).toBeCloseTo(place(5)! - place(0)!, 9);
  expect(place(null)).toBe(null);
  expect(ticks.find(({ label }) => label === '10')!.at).toBeCloseTo(place(10)!, 9);
});

test('rates that differ by powers are read by their powers: equal factors are equal ways', () => {
  const { place, isLog } = scaleOf(column('text'), [1e-4, 1e-3, 1e-2], 5);
  expect(isLog).toBe(true);
  expect(place(1e-3)! - place(1e-4)!).toBeCloseTo(place(1e-2)! - place(1e-3)!, 9);
});

test('a share is said in per cent, a date as one', () => {
  const share = scaleOf(column('percent'), [0.2, 0.4], 4);
  expect(share.ticks.map(({ label }) => label)).toContain('30 %');
  expect(share.ticks.find(({ label }) => label === '30 %')!.at).toBeCloseTo(share.place(0.3)!, 9);
  expect(scaleOf(column('date'), [0, 1e10], 4).ticks[0]!.label).toMatch(/^\d{4}-\d\d-\d\d /);
});

test('words stand in their order, numbers in them by their value; of many some have a label', () => {
  const { place, ticks } = scaleOf(column('text'), ['run 10', 'run 9', 'run 9', null], 9);
  expect(ticks.map(({ label }) => label)).toEqual(['run 9', 'run 10']);
  expect([place('run 9'), place('run 10')]).toEqual([0.25, 0.75]);
  const many = Array.from({ length: 100 }, (_, i) => `dataset ${i}`);
  expect(scaleOf(column('text'), many, 5).ticks).toHaveLength(5);
  expect(scaleOf(column('number'), [null], 5).ticks).toEqual([]);
});

test('what is the same in all runs tells nothing', () => {
  const rows = [{ cells: { a: 1, b: 2 } }, { cells: { a: 1, b: 3 } }] as unknown as Row[];
  expect(telling([column('number', 'a'), column('number', 'b'), column('number', 'c')], rows)).toMatchObject([
    { key: 'b' },
  ]);
  expect([isResult(column('percent')), isSetting(column('percent'))]).toEqual([true, false]);
});

test('durations that are rounded to the same words are marked once', () => {
  const labels = scaleOf(column('duration'), [100, 900], 6).ticks.map(({ label }) => label);
  expect(labels.length).toBeGreaterThan(0);
  expect(new Set(labels).size).toBe(labels.length);
});
