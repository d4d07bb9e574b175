import { expect, test } from 'vitest';
import { lastStepsOf } from '../../shared/figures.ts';
import { metric } from '../../test/store/helpers.ts';
import { parseRunConfig } from '../index.ts';
import { account, fewestCodes } from './figures.ts';
import { health } from './health.ts';
import { method } from './method.ts';

const configOf = (batch_size: number) =>
  parseRunConfig({
    method: { name: method.name },
    model: { image_size: 32, patch_size: 8 },
    train: { batch_size },
    codebook: { codes: 512 },
  });
const steps = (perplexity: number) =>
  Array.from({ length: 50 }, (_, i) => metric(20 * (i + 1), { loss: 1, figures: { perplexity, used: 0.5 } }));
const alarm = (perplexity: number, batch: number) =>
  account.alarm(lastStepsOf(steps(perplexity), account.charts), configOf(batch));

test('a codebook has collapsed where fewer than an eighth of the codes that could be are in use', () => {
  // 64 images of 16 cells each: all 512 codes could be.
  expect(alarm(63.9, 64)?.kind).toBe('collapsed');
  expect(alarm(63.9, 64)?.text).toContain('(fewer than 64 are a collapse)');
  expect(alarm(64, 64)).toBeNull();
  // 16 images have 256 cells: more than 32 codes of them are as good as it gets there.
  expect(alarm(31.9, 16)?.kind).toBe('collapsed');
  expect(alarm(32, 16)).toBeNull();
});

test('alarm, chart and report say the same of as many cells', () => {
  const fewest = fewestCodes(512, 256);
  expect(fewest).toBe(32);
  const chart = account.charts.find(({ title }) => title === 'Codes')!;
  const lines = chart.references!(account.chance(configOf(16)), configOf(16));
  expect(lines.at(-1)).toEqual({ label: '32: fewer is a collapse', value: fewest });
  const said = health.figures.find(({ key }) => key === 'perplexity')!;
  expect(said.against({ references: { codes: 512, cells: 256 } } as never)).toContain('fewer than 32 are a collapse');
});
