import { expect, test } from 'vitest';
import { lastStepsOf } from '../../shared/figures.ts';
import type { Metric } from '../../shared/run.ts';
import { metric } from '../../test/store/helpers.ts';
import { parseRunConfig } from '../index.ts';
import type { MoCoInput } from './config.ts';
import { method } from './method.ts';

const configOf = (over: MoCoInput = {}) =>
  parseRunConfig({ method: { name: 'moco' }, train: { batch_size: 64 }, ...over });
const steps = (count: number, loss: number, figures: Metric['figures'] = {}): Metric[] =>
  Array.from({ length: count }, (_, i) => metric(i + 1, { loss, figures }));
const alarmOf = (metrics: Metric[], config = configOf()) => method.alarm(lastStepsOf(metrics, method.charts), config);

test('guessing among the keys of the batch, of a queue, of two', () => {
  expect(method.chance(configOf()).loss).toBeCloseTo(4 * 0.2 * Math.log(64), 10);
  expect(method.chance(configOf(), { batch: 4096 }).loss).toBeCloseTo(6.65, 2); // as the paper's batch has it
  const queue = { dictionary: 'queue' as const, queue: 1024 };
  expect(method.chance(configOf({ contrast: queue }))).toMatchObject({
    loss: Math.log(1025),
    figures: { top1: 1 / 1025 },
  });
  expect(method.chance(configOf({ contrast: { ...queue, dictionary: 'queues' } })).loss).toBeCloseTo(
    2 * Math.log(1025),
  );
});

test('an alarm where the loss stays at guessing, or CLS tokens are one; not at the start, nor while a queue fills', () => {
  const guessing = 4 * 0.2 * Math.log(64);
  expect(alarmOf(steps(400, guessing))?.kind).toBe('not-learning');
  expect(alarmOf(steps(400, 0.7 * guessing))).toBeNull();
  expect(alarmOf(steps(200, guessing))).toBeNull();
  expect(alarmOf(steps(400, 1, { cosine_cls: 0.995, rank_cls: 1 }))?.kind).toBe('collapsed');
  expect(alarmOf(steps(400, 1, { cosine_cls: 0.9, rank_cls: 9 }))).toBeNull();
  const queued = configOf({ contrast: { dictionary: 'queue', queue: 64 * 400 } });
  const ofQueue = Math.log(1 + 64 * 400);
  expect(alarmOf(steps(600, ofQueue), queued)).toBeNull();
  expect(alarmOf(steps(800, ofQueue), queued)?.kind).toBe('not-learning');
  expect(method.notes(steps(399, 3), queued).map(({ kind }) => kind)).toEqual(['queue-filling']);
  expect(method.notes(steps(400, 3), queued)).toEqual([]);
});

test('settings that cannot be, and what follows from others', () => {
  expect(() => configOf({ contrast: { dictionary: 'queue', queue: 100 } })).toThrow('nearest: 128');
  expect(() => configOf({ model: { embed_dim: 30, num_heads: 3 } })).toThrow('multiple of 4');
  expect(() => configOf({ model: { position: 'absolute' } })).toThrow('is always');
  expect(method.notices(configOf(), 0, 10)).toEqual([]);
  const apart = configOf({ train: { batch_size: 32, accumulation: 4 } });
  expect(method.notices(apart, 0, 1000).join()).toContain('among the 32 images of its micro-batch, not among the 128');
  const few = configOf({ contrast: { dictionary: 'queue', queue: 512 } });
  expect(method.notices(few, 0, 500).join()).toContain('its own earlier keys');
  expect(method.notices(few, 0, 5000)).toEqual([]);
});

test('each crop has a place of its own, and the second the published blur and solarisation', () => {
  const [first, second] = method.views(configOf());
  expect(first!.geometry).not.toBe(second!.geometry);
  expect(second!.augment).toEqual({ blur: 0.1, solarize: 0.2 });
  expect(configOf().augment).toMatchObject({ blur: 1, solarize: 0, interpolation: 'bilinear' });
});

test('every preset is a configuration', () => {
  for (const { name, config } of method.presets)
    expect(() => parseRunConfig({ method: { name: 'moco' }, ...config }), name).not.toThrow();
});
