import { expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { alignment, toUnitRows } from '../../electron/engine/health.ts';
import type { RunConfigInput } from '../../shared/config.ts';
import type { HealthReport, NetworkHealth, SetHealth } from '../../shared/health.ts';
import { health, positionShortcut } from './health.ts';
import { conmimSchema as runConfigSchema } from './schema.ts';

const WIDTH = 8;
/** `[3000, WIDTH]`, spread evenly over the sphere. */
function gaussian(name: string): Float32Array {
  const random = stream(3, 0, 0, name);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  return toUnitRows(Float32Array.from({ length: 3000 * WIDTH }, normal), WIDTH);
}

test('alignment: 0 with itself, 4 with the opposite, about 2 with what has nothing in common', () => {
  const features = gaussian('queries');
  expect(alignment(features, features, WIDTH)).toBe(0);
  expect(
    alignment(
      features,
      features.map((v) => -v),
      WIDTH,
    ),
  ).toBeCloseTo(4, 4);
  expect(Math.abs(alignment(features, gaussian('keys'), WIDTH) - 2)).toBeLessThan(0.08);
});

test('the short cut is the part of the gain that position alone has', () => {
  expect(positionShortcut(0.5, 0.5, 0.1)).toBe(1);
  expect(positionShortcut(0.5, 0.1, 0.1)).toBe(0);
  expect(positionShortcut(0.5, 0.2, 0.1)).toBeCloseTo(0.25, 9);
  expect(positionShortcut(0.1, 0.1, 0.1)).toBeNull();
});

test('the verdict says what the figures say', () => {
  const set = (over: Partial<SetHealth> = {}): SetHealth => ({
    width: 64,
    rows: 1000,
    rank: 30,
    cosine: 0.1,
    uniformity: -2,
    dead: 0,
    singular: [],
    deviations: [],
    ...over,
  });
  const network = (
    figures: NetworkHealth['figures'] = {},
    sets: Partial<Record<'keys' | 'images', SetHealth>> = {},
  ): NetworkHealth => ({
    sets: { keys: set(), images: set(), ...sets },
    figures: { alignment: 1, top1: 0.6, control: 0.1, position_shortcut: 0.1, place_share: 0.1, ...figures },
  });
  const keys = (over: Partial<SetHealth>) => network({}, { keys: set(over) });
  const found = (trained: NetworkHealth, config: RunConfigInput = {}) =>
    health.findings(
      {
        ...({
          trained,
          untrained: network({ top1: 0.1 }),
          references: { chance: 0.02, place_share_chance: 0.01 },
          K: 64,
        } as Partial<HealthReport> as HealthReport),
      },
      runConfigSchema.parse(config),
    );
  const levels = (trained: NetworkHealth) => found(trained).map(({ level }) => level);
  expect(levels(network())).toEqual(['good', 'good', 'good', 'good', 'good', 'note', 'note']);
  expect(levels(keys({ rank: 1.2 }))[0]).toBe('bad');
  expect(levels(keys({ cosine: 0.95 }))[0]).toBe('bad');
  expect(levels(keys({ dead: 3 }))[1]).toBe('note');
  expect(levels(network({ top1: 0.1 }))[3]).toBe('bad');
  expect(levels(network({ position_shortcut: 0.9 }))[4]).toBe('bad');
  expect(levels(network({ position_shortcut: null }))[4]).toBe('note');
  // Forty black pictures: everything is finite, and nothing is good.
  for (const alike of [{ cosine: 1, rank: 1 }, { rank: 1 }])
    expect(levels(network({}, { images: set(alike) }))[2]).toBe('bad');
  // The cause that stands in the run's own configuration is named, and no setting that it does not heed.
  const [collapse] = found(keys({ rank: 1.2 }), { momentum: { schedule: 'none' } });
  expect(collapse!.text).toContain('momentum.schedule=cosine');
  expect(collapse!.text).not.toContain('momentum.start');
});
