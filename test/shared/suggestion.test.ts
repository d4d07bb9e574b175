import { expect, test } from 'vitest';
import { PRESETS, parseRunConfig } from '../../methods/index.ts';
import { BUDGETS } from '../../shared/budgets.ts';
import { fitted, LEAST_STEPS, seenWords, servingOf, suggestions, timeWords } from '../../shared/suggestion.ts';

const presets = PRESETS.map((preset) => ({ ...preset, config: parseRunConfig(preset.config) }));
const named = (name: string) => presets.find((preset) => preset.name === name)!;
const facts = { images: 2114, width: 640, height: 512 };

test('a preset serves each budget, and is fitted to what images there are', () => {
  for (const budget of BUDGETS) expect(servingOf(presets, budget)!.serves!.why).toMatch(/^[A-Z].*\.$/);
  const conmim = named('small-cpu');
  const fit = (change: Partial<typeof facts>) => fitted(conmim, { ...facts, ...change });
  const sized = (side: number, patch: number, unit: number, batch: number) => ({
    'model.image_size': side,
    'model.patch_size': patch,
    'mask.unit': unit,
    'train.batch_size': batch,
  });
  expect(fit({})).toEqual(sized(128, 16, 32, 64));
  expect(fit({ width: 96, height: 500 })).toEqual(sized(64, 8, 16, 64));
  expect(fit({ width: 32, height: 32, images: 40 })).toEqual(sized(32, 4, 8, 32));
  expect(fit({ images: 1 })['train.batch_size']).toBe(2);
  expect(fitted(named('simclr-small-cpu'), facts)).not.toHaveProperty('mask.unit');
});

test('steps are what the machine does in the time, and never too few', () => {
  const at = (speed: number) => {
    const all = suggestions(facts, presets, Object.fromEntries(presets.map(({ name }) => [name, speed])));
    expect(all.map(({ budget }) => budget.key)).toEqual(['quick', 'good', 'overnight']);
    return all.map(({ steps, minutes, changes }) => [steps, changes['train.batch_size'], minutes]);
  };
  // 2,400 s of 100 images a second are 3,750 steps of 64; 300 s are 468, so it takes longer, on half as many images.
  expect(at(100)).toEqual([
    [LEAST_STEPS, 32, 8],
    [3700, 64, (3700 * 64) / 100 / 60],
    [45000, 64, 480],
  ]);
  expect(at(1e4)[0]).toEqual([46800, 64, (46800 * 64) / 1e4 / 60]);
  const unknown = suggestions(facts, presets, {});
  expect(unknown.map(({ steps, minutes }) => [steps, minutes])).toEqual(Array(3).fill([LEAST_STEPS, null]));
  expect([timeWords(5), timeWords(88), timeWords(480), timeWords(100), timeWords(0.2)]).toEqual([
    ...['5 min', '88 min', '8 h', '1.7 h', '1 min'],
  ]);
});

test('every suggestion can be trained, and says what the network sees', () => {
  for (const images of [2, 63, 64, 30_000])
    for (const [width, height] of [
      [8, 8],
      [32, 47],
      [48, 3000],
      [6000, 4000],
    ] as const)
      for (const one of suggestions({ images, width, height }, presets, {})) {
        const tree = structuredClone(named(one.preset).config) as unknown as Record<string, Record<string, unknown>>;
        for (const [key, value] of Object.entries(one.changes)) {
          const [section, field] = key.split('.') as [string, string];
          tree[section]![field] = value;
        }
        const config = parseRunConfig(tree); // throws for what cannot be
        expect(config.train.batch_size).toBeLessThanOrEqual(Math.max(2, images));
        expect(seenWords({ images, width, height }, config)).toMatch(/^The network sees crops of .* px\.$/);
      }
  // Half of the area, in the mean, of 640 x 512 pixels is 405 across, which becomes 64.
  const { config } = named('small-cpu');
  expect(seenWords(facts, { ...config, augment: { ...config.augment, crop_scale: [0.25, 0.75] } })).toBe(
    'The network sees crops of 286 to 496 px across, at 64 x 64: what is 40 px wide in an image becomes 6.3 px.',
  );
});
