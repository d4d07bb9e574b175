import { expect, test } from 'vitest';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import type { RunConfigInput } from '../../shared/config.ts';
import { guessingOf, lossWords } from '../../shared/guessing.ts';

const of = (config: RunConfigInput, classes?: string[], batch?: number) =>
  guessingOf({ config: runConfigSchema.parse(config), finetune: classes ? { classes } : null }, batch);

test('a query chooses among the patches of its image', () => {
  const found = of({ model: { image_size: 64, patch_size: 8 }, mask: { unit: 16 }, train: { batch_size: 32 } });
  expect(found).toMatchObject({ among: 64, symbol: 'K', top1: 1 / 64, top5: 5 / 64, control: 1 / 64 });
  expect(found.loss).toBeCloseTo(4.158883, 6); // ln 64
  expect(lossWords(found)).toBe('ln K');
});

test('where the dictionary is the batch, among those of every image of it; its control still among one image’s', () => {
  const config: RunConfigInput = {
    model: { image_size: 64, patch_size: 8 },
    ...{ mask: { unit: 16 }, contrast: { dictionary: 'batch' }, train: { batch_size: 32, accumulation: 4 } },
  };
  const found = of(config);
  expect(found).toMatchObject({ among: 2048, symbol: 'K·B', top1: 1 / 2048, control: 1 / 64 });
  expect(found.loss).toBeCloseTo(7.624619, 6); // ln 2048
  expect(lossWords(found)).toBe('ln(K·B)');
  expect(of(config, undefined, 4).among).toBe(256);
});

test('a fine-tuning chooses among its classes, whatever its dictionary was', () => {
  const found = of({ contrast: { dictionary: 'batch' } }, ['a', 'b', 'c']);
  expect(found).toMatchObject({ among: 3, symbol: '3', top1: 1 / 3, top5: 1, control: null });
  expect(lossWords(found)).toBe('ln 3');
  expect(of({}, []).loss).toBe(0);
});
