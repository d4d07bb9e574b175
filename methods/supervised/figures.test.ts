import { expect, test } from 'vitest';
import { parseRunConfig } from '../index.ts';
import { account } from './figures.ts';

test('a fine-tuning chooses among its classes, whatever its dictionary was', () => {
  const config = parseRunConfig({ contrast: { dictionary: 'batch' } });
  const { figures, loss, words } = account.chance(config, { classes: 3 });
  expect([figures, loss, words]).toEqual([{ top1: 1 / 3, top5: 1 }, Math.log(3), 'ln 3']);
  expect(account.chance(config, { classes: 20 }).figures.top5).toBe(0.25);
  expect(account.chance(config, { classes: 0 }).loss).toBe(0);
  const chart = account.charts.find(({ title }) => title === 'Accuracy')!;
  expect(chart.references!(account.chance(config, { classes: 3 }), config)).toEqual([
    { label: '1 of 3 classes', value: 1 / 3 },
  ]);
});
