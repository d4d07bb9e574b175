import { expect, test } from 'vitest';
import { stream } from '../../electron/data/random.ts';
import { drawViews } from '../../electron/data/views.ts';
import { augmentSchema, modelSchema } from '../../shared/config.ts';
import { checkCrops, cropsIn, cropsSchema, cropViews, namedCrops } from '../../shared/crops.ts';

const schema = cropsSchema(
  { small: 3, small_size: 32, small_scale: [0.05, 0.14] },
  { small: '`a`', small_size: '`b`', small_scale: '`c`' },
);
const crops = schema.parse({});
const model = modelSchema.parse({ image_size: 64, patch_size: 8 });

test('two large crops and some small ones, each of its own place, size, area and colours', () => {
  const specs = cropViews(model, crops, (kind, i) => (kind === 'large' && i === 1 ? { blur: 0 } : { blur: 1 }));
  expect(specs.map(({ title, side }) => `${title}, ${side}`)).toEqual([
    'first crop, 64',
    'second crop, 64',
    'small crop 1, 32',
    'small crop 2, 32',
    'small crop 3, 32',
  ]);
  const augment = augmentSchema.parse({ crop_scale: [0.3, 1] });
  for (let image = 0; image < 50; image++) {
    const draws = drawViews(500, 375, augment, specs, (purpose) => stream(0, 0, image, purpose));
    expect(new Set(draws.map(({ crop }) => JSON.stringify(crop))).size).toBe(5);
    for (const [i, { crop, colours }] of draws.entries()) {
      const share = (crop.width * crop.height) / (500 * 375);
      expect(share).toBeGreaterThan(i < 2 ? 0.29 : 0.045);
      expect(share).toBeLessThan(i < 2 ? 1.01 : 0.145);
      expect((colours as { blur: number | null }).blur === null).toBe(i === 1);
    }
  }
});

test('crops are found in a batch by their kinds, in order', () => {
  const views = namedCrops({ large: ['a', 'b'], small: ['c', 'd', 'e'] });
  expect(Object.keys(views).sort()).toEqual(
    cropViews(model, crops)
      .map(({ name }) => name)
      .sort(),
  );
  expect(cropsIn(views)).toEqual({ large: ['a', 'b'], small: ['c', 'd', 'e'] });
  expect(cropsIn(namedCrops({ large: ['a', 'b'], small: [] }))).toEqual({ large: ['a', 'b'], small: [] });
});

test('a small crop has a whole number of patches', () => {
  const said: string[] = [];
  const check = (over: object) =>
    checkCrops({ ...crops, ...over }, model, ([section, field], message) =>
      said.push(`${section}.${field} ${message}`),
    );
  check({});
  check({ small: 0, small_size: 30 });
  expect(said).toEqual([]);
  check({ small_size: 30 });
  expect(said).toEqual(['crops.small_size must be a multiple of model.patch_size (8); nearest: 32']);
});
