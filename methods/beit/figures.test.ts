import { expect, test } from 'vitest';
import { parseRunConfig } from '../../methods/index.ts';
import type { Metric } from '../../shared/run.ts';
import { metric } from '../../test/store/helpers.ts';
import { account } from './figures.ts';

/** Steps of a run that learns, whose tokens are as many as `tokens` evenly. */
const steps = (tokens: number): Metric[] =>
  Array.from({ length: 10 }, (_, i) =>
    metric(400 + i, {
      loss: 0.5 * Math.log(tokens),
      figures: { token_entropy: Math.log(tokens), accuracy: 0.5, frequent: 0.1 },
    }),
  );

test('tokens are few beside the patches that a micro-batch hides, where these are fewer than the codes', () => {
  // 8 images of 196 patches, of which 40 % are hidden: 627 of 8,192 tokens can be in use at most, and 78 are an eighth.
  const config = parseRunConfig({ method: { name: 'beit' }, train: { batch_size: 8 }, mask: { ratio: 0.4 } });
  const kindOf = (tokens: number) => account.alarm({ metrics: steps(tokens), measured: null }, config)?.kind;
  expect(kindOf(600)).toBeUndefined();
  expect(kindOf(79)).toBeUndefined();
  expect(kindOf(77)).toBe('few-tokens');
  // With images enough it is an eighth of the codes.
  const large = parseRunConfig({ method: { name: 'beit' }, train: { batch_size: 512 }, mask: { ratio: 0.4 } });
  expect(account.alarm({ metrics: steps(1000), measured: null }, large)?.kind).toBe('few-tokens');
});
