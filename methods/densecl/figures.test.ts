import { expect, test } from 'vitest';
import { lastStepsOf } from '../../shared/figures.ts';
import type { Metric } from '../../shared/run.ts';
import { metric } from '../../test/store/helpers.ts';
import { parseRunConfig } from '../index.ts';
import type { DenseCLInput } from './config.ts';
import { method } from './method.ts';

const configOf = (over: DenseCLInput = {}) =>
  parseRunConfig({ method: { name: 'densecl' }, train: { batch_size: 64 }, contrast: { queue: 640 }, ...over });
const GUESSING = Math.log(641);
const HEALTHY = { loss_global: 4, loss_dense: 3, distinct: 0.3, same_place: 0.05, cosine_queue: 0.2 };
const steps = (count: number, loss: number, figures: Metric['figures'] = {}): Metric[] =>
  Array.from({ length: count }, (_, i) => metric(i + 1, { loss, figures: { ...HEALTHY, ...figures } }));
const alarmOf = (metrics: Metric[], config = configOf()) => method.alarm(lastStepsOf(metrics, method.charts), config);
const kindOf = (figures: Metric['figures'], loss = 3.5, config = configOf()) =>
  alarmOf(steps(400, loss, figures), config)?.kind;

test('guessing is among the own key and the queue, whatever lambda is', () => {
  for (const lambda of [0, 0.3, 1])
    expect(method.chance(configOf({ dense: { lambda } }))).toMatchObject({
      loss: GUESSING,
      figures: { lookup_global: 1 / 641, lookup_dense: 1 / 641 },
    });
});

test('what goes wrong is said in its words', () => {
  expect(kindOf({})).toBeUndefined();
  expect(kindOf({ cosine_queue: 0.995 })).toBe('collapsed');
  expect(kindOf({ loss_global: GUESSING, loss_dense: GUESSING }, GUESSING)).toBe('not-learning');
  expect(kindOf({ distinct: 1 / 196 })).toBe('one-match');
  expect(kindOf({ distinct: 4 / 196 })).toBeUndefined();
  expect(kindOf({ loss_dense: GUESSING })).toBe('noisy-matches');
  expect(alarmOf(steps(400, 5, { loss_dense: GUESSING }))?.advice).toContain('dense.start_steps');
  expect(kindOf({ loss_dense: GUESSING }, 3.5, configOf({ dense: { lambda: 0 } }))).toBeUndefined();
  expect(kindOf({ same_place: 0.9 })).toBe('matched-by-place');
  // Two whole images, unchanged in place, do match place by place.
  expect(kindOf({ same_place: 0.9 }, 3.5, configOf({ augment: { crop_scale: [1, 1] } }))).toBeUndefined();
});

test('no alarm while the queues fill and the loss climbs, nor while patches wait', () => {
  const first = steps(9, 2.4, { lookup_global: 1, lookup_dense: 1 });
  expect(alarmOf(first)).toBeNull();
  expect(method.notes(first, configOf()).map(({ kind }) => kind)).toEqual(['queue-filling']);
  expect(method.notes(steps(10, 5), configOf())).toEqual([]);
  const easy = { lookup_global: 1, lookup_dense: 0.995 };
  expect(method.notes(steps(30, 0.1, easy), configOf()).map(({ kind }) => kind)).toEqual(['queue-short']);
  expect(method.notes(steps(30, 0.1, { ...easy, lookup_global: 0.5 }), configOf())).toEqual([]);
  const waiting = configOf({ dense: { start_steps: 1000 } });
  expect(kindOf({ loss_dense: GUESSING }, 4, waiting)).toBeUndefined();
  expect(alarmOf(steps(1400, 4, { loss_dense: GUESSING }), waiting)?.kind).toBe('noisy-matches');
});

test('settings that cannot be, and what follows from others', () => {
  expect(() => configOf({ contrast: { queue: 100 } })).toThrow('nearest: 128');
  expect(() => configOf({ model: { embed_dim: 30, num_heads: 3 } })).toThrow('multiple of 4');
  expect(() => configOf({ model: { embed_dim: 30, num_heads: 3, position: 'absolute' } })).not.toThrow();
  expect(() => configOf({ model: { position: 'shared-relative-bias' } })).toThrow(
    'cannot be shared-relative-bias in DenseCL',
  );
  expect(() => configOf({ momentum: { schedule: 'none' } })).toThrow('cannot be none in DenseCL');
  expect(method.notices(configOf(), 0, 5000)).toEqual([]);
  expect(method.notices(configOf(), 0, 640).join()).toContain('its own earlier keys');
  expect(method.notices(configOf({ dense: { lambda: 0 } }), 0).join()).toContain('That is MoCo v2');
  expect(method.notices(configOf({ train: { batch_size: 64, accumulation: 2 } }), 0).join()).toContain(
    "keys of a step's 2 micro-batches",
  );
});

test('published settings, and both crops drawn alike, each at a place of its own', () => {
  const config = parseRunConfig({ method: { name: 'densecl' } });
  expect(config).toMatchObject({
    contrast: { temperature: 0.2, queue: 65_536 },
    dense: { lambda: 0.5, start_steps: 0 },
    neck: { hidden: 2048, out: 128 },
    momentum: { schedule: 'constant', start: 0.999 },
    augment: { crop_scale: [0.2, 1], saturation: 0.4, hue: 0.1, blur: 0.5, solarize: 0, interpolation: 'bilinear' },
    optimizer: { clip_grad: 1 },
  });
  const [first, second] = method.views(config);
  expect(first!.geometry).not.toBe(second!.geometry);
  expect(second!.augment).toEqual({});
});

test('every preset is a configuration, and says that a ViT is none of the paper’s', () => {
  for (const { name, config, source } of method.presets) {
    expect(() => parseRunConfig({ method: { name: 'densecl' }, ...config }), name).not.toThrow();
    expect(source).toMatch(/put together of published parts|The densecl-small-cpu recipe/);
  }
});
