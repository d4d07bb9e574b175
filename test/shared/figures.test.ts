import { expect, test } from 'vitest';
import { type Description, figureColumns, figureOf, figureWords, flat, lastStepsOf } from '../../shared/figures.ts';
import type { Figure } from '../../shared/method.ts';
import { lowerFirst } from '../../shared/text.ts';
import { metric } from '../store/helpers.ts';

const figure = (key: string, title: string, isMain = true): Figure => ({
  key,
  title,
  isMain,
  scale: 'share',
  unit: '',
  about: '',
});
const method = (name: string, ...figures: Figure[]) => ({ name, figures }) as unknown as Description;

test('a value is found under its name, whoever measured it; what is no number is none', () => {
  const one = metric(3, { loss: Number.NaN, figures: { rank: 2.5, none: null } });
  expect(['lr', 'rank', 'none', 'missing', 'loss', 'figures'].map((key) => figureOf(one, key))).toEqual([
    ...[1e-3, 2.5, null, null, null, null],
  ]);
  const row = flat(one, [figure('none', ''), figure('seldom', '')])!;
  expect(row).toMatchObject({ step: 3, lr: 1e-3, rank: 2.5, none: null, seldom: null });
  expect(row).not.toHaveProperty('figures');
  expect(flat(null)).toBeNull();
});

test('figures read as they are known', () => {
  expect([figureWords({ scale: 'share' }, 0.1234), figureWords({ scale: 'plain' }, 0.012345)]).toEqual([
    '12.3 %',
    '0.0123',
  ]);
  expect([null, undefined, Number.NaN].map((none) => figureWords({ scale: 'plain' }, none))).toEqual(['–', '–', '–']);
});

test('a column is of one meaning: methods share it by title, and another of the same key has another', () => {
  const all = [
    method('a', figure('top1', 'Look-up'), figure('rank', 'Rank', false)),
    method('b'),
    method('c', figure('top1', 'Accuracy')),
    method('d', figure('top1', 'Look-up')),
  ];
  const of = (...present: number[]) =>
    figureColumns(
      present.map((i) => all[i]!),
      all,
    ).map(({ column, methods }) => [column, ...methods]);
  expect(of(0, 1, 2, 3)).toEqual([
    ['top1', 'a', 'd'],
    ['c_top1', 'c'],
  ]);
  expect(of(2)).toEqual([['c_top1', 'c']]); // the same name whatever stands beside it
  expect(of(1)).toEqual([]);
});

test('the last steps come with the last one at which something was measured that seldom is', () => {
  const charts = [{ title: '', unit: '', isSparse: true, lines: [{ key: 'rank', label: '', colour: 0 }] }];
  const steps = Array.from({ length: 70 }, (_, i) => metric(i + 1, { figures: i === 4 ? { rank: 7 } : { top1: 1 } }));
  const { metrics, measured } = lastStepsOf(steps, charts);
  expect([metrics[0]!.step, metrics.length, measured!.step]).toEqual([11, 60, 5]);
  expect(lastStepsOf(steps.slice(5), charts).measured).toBeNull();
});

test('titles stand in sentences, and names stay', () => {
  const titles = ['Look-up, top-5', 'Fine-tuning', 'Spread', 'MAE', 'ConMIM', 'MoCo v3', 'Effective rank of the keys'];
  expect(titles.map(lowerFirst)).toEqual([
    ...['look-up, top-5', 'fine-tuning', 'spread', 'MAE', 'ConMIM', 'MoCo v3', 'effective rank of the keys'],
  ]);
});
