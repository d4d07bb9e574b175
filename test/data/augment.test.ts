import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as ops from '../../electron/data/augment-ops.ts';
import { compiledImaging, usePlainImaging } from '../../electron/data/imaging.ts';
import { stream } from '../../electron/data/random.ts';
import { resizedCrop } from '../../electron/data/resample.ts';
import { applyViews, drawViews, type StrongDraw } from '../../electron/data/views.ts';
import { method } from '../../methods/conmim/method.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';

/** What Pillow makes of one picture; /255, as test/fixtures/README.md says. */
const FOLDER = join(import.meta.dirname, '../fixtures/augment');
const read = async (file: string) => {
  const { data, info } = await sharp(join(FOLDER, file))
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { data: new Uint8Array(data), width: info.width, height: info.height };
};
const input = await read('input.png');
interface Operation {
  file: string;
  op: string;
  factor: number;
  shift: number;
  radius: number;
  threshold: number;
  left: number;
  top: number;
  width: number;
  height: number;
  size: number;
}
const operations: Operation[] = JSON.parse(readFileSync(join(FOLDER, 'operations.json'), 'utf8'));

function apply(o: Operation): Uint8Array {
  const rgb = input.data.slice();
  switch (o.op) {
    case 'brightness':
      ops.brightness(rgb, o.factor);
      return rgb;
    case 'contrast':
      ops.contrast(rgb, o.factor);
      return rgb;
    case 'saturation':
      ops.saturation(rgb, o.factor);
      return rgb;
    case 'hue':
      ops.hue(rgb, o.shift);
      return rgb;
    case 'grayscale':
      ops.grayscale(rgb);
      return rgb;
    case 'gaussian_blur':
      ops.gaussianBlur(rgb, input.width, input.height, o.radius);
      return rgb;
    case 'solarize':
      ops.solarize(rgb, o.threshold);
      return rgb;
    case 'horizontal_flip':
      ops.flip(rgb, input.width);
      return rgb;
    case 'resized_crop':
      return resizedCrop(input, o, o.size, 'bicubic');
    default:
      throw new Error(`no such operation: ${o.op}`);
  }
}

const hasCompiled = compiledImaging() !== null;
describe.each([
  ['plain', true],
  [`compiled${hasCompiled ? '' : ' (skipped: not built)'}`, false],
])('operations equal Pillow, %s', (_, plain) => {
  beforeAll(() => usePlainImaging(plain));
  afterAll(() => usePlainImaging(false));
  test.skipIf(!plain && !hasCompiled).each(operations)('$file', async (o) => {
    const want = await read(o.file);
    const got = apply(o);
    expect(got.length).toBe(want.data.length);
    const changed = got.reduce((sum, v, i) => sum + (v === input.data[i] ? 0 : 1), 0);
    expect(changed).toBeGreaterThan(0);
    // A mean difference of 1.5 (hue and crop: 2.5) would do; what is reached is held: not one value differs.
    expect(got.reduce((sum, v, i) => sum + Math.abs(v - want.data[i]!), 0)).toBe(0);
  });
});

describe('views', () => {
  const draw = (settings: object, epoch = 0) => {
    const config = runConfigSchema.parse({ model: { image_size: 32, patch_size: 4 }, mask: { unit: 8 }, ...settings });
    const specs = method.views(config);
    const draws = drawViews(input.width, input.height, config.augment, specs, (p) => stream(1, epoch, 7, p));
    const { student, teacher } = applyViews(input, draws, config.augment);
    return { draws, student, teacher };
  };
  const always = { jitter: 1, gray: 1, solarize: 1, blur: 1 };

  test('the student is weak and the teacher strong, of the same crop', () => {
    const { draws, student, teacher } = draw({ augment: always });
    expect(draws[0]!.colours).toBeNull();
    expect(teacher).not.toEqual(student);
    expect(draw({ augment: { ...always, jitter: 0, gray: 0, solarize: 0, blur: 0 } }).student).toEqual(student);
  });
  test('teacher same takes the pixels of a strong student', () => {
    const { student, teacher } = draw({ augment: always, views: { teacher: 'same', student: 'strong' } });
    expect(teacher).toEqual(student);
    expect(student).not.toEqual(draw({ augment: always }).student);
  });
  test('teacher weak is the plain crop', () => {
    const { student, teacher } = draw({ augment: always, views: { teacher: 'weak' } });
    expect(teacher).toEqual(student);
  });
  test('colours of the whole image come before the crop, alike for all views of one purpose, and each view has its filter', () => {
    const { augment } = runConfigSchema.parse({ augment: { ...always, gray: 0, blur: 0, solarize: 0 } });
    const common = { geometry: 'geometry', colours: { whole: 'colours' }, isMasked: false } as const;
    const specs = [
      { ...common, name: 'large', title: '', side: 32 },
      { ...common, name: 'small', title: '', side: 16, interpolation: 'lanczos' },
      { ...common, name: 'plain', title: '', side: 32, colours: 'weak' },
    ] as const;
    const draws = drawViews(input.width, input.height, augment, specs, (p) => stream(1, 0, 7, p));
    const [{ colours, crop, flip: isFlipped }, small, plain] = draws as [(typeof draws)[0], ...typeof draws];
    expect(small!.colours).toBe(colours);
    expect([small!.crop, plain!.crop]).toEqual([crop, crop]);
    const views = applyViews(input, draws, augment);
    // The same by hand: contrast is about the mean of the whole image, not of the crop.
    const whole = input.data.slice();
    const { brightness, contrast, saturation, hue } = ops;
    const named = { brightness, contrast, saturation, hue };
    for (const { op, amount } of (colours as StrongDraw).jitter) named[op](whole, amount);
    const left = isFlipped ? input.width - crop.left - crop.width : crop.left;
    const by = (side: number, filter: 'bicubic' | 'lanczos', data: Uint8Array) => {
      const pixels = resizedCrop({ ...input, data }, { ...crop, left }, side, filter);
      if (isFlipped) ops.flip(pixels, side);
      return pixels;
    };
    expect(views.large).toEqual(by(32, 'bicubic', whole));
    expect(views.small).toEqual(by(16, 'lanczos', whole));
    expect(views.plain).toEqual(by(32, 'bicubic', input.data));
    expect(views.large).not.toEqual(views.plain);
  });
  test('a view has its own crop and colours where its method says so; the others keep theirs', () => {
    const { augment } = runConfigSchema.parse({});
    const one = { title: '', side: 32, colours: 'strong', isMasked: false } as const;
    const first = { ...one, name: 'first', geometry: 'first geometry' };
    const second = { ...one, name: 'second', geometry: 'second geometry' };
    const small = { crop_scale: [0.05, 0.14] as [number, number], blur: 1, solarize: 0, jitter: 0 };
    const draws = (own: object, i: number) =>
      drawViews(500, 375, augment, [first, { ...second, ...own }], (p) => stream(0, 0, i, p));
    const n = 200;
    const own = Array.from({ length: n }, (_, i) => draws({ augment: small }, i));
    const share = ({ crop }: (typeof own)[0][0]) => (crop.width * crop.height) / (500 * 375);
    for (const [i, [a, b]] of own.entries()) {
      expect(a).toEqual(draws({}, i)[0]);
      expect(a!.crop).not.toEqual(b!.crop); // each geometry has a place of its own
      expect(share(b!)).toBeGreaterThan(0.045);
      expect(share(b!)).toBeLessThan(0.145);
      expect(b!.colours).toMatchObject({ jitter: [], solarize: false });
      expect((b!.colours as StrongDraw).blur).not.toBeNull();
    }
    expect(own.filter(([a]) => share(a!) > 0.2).length).toBeGreaterThan(n / 2);
    expect(own.filter(([a]) => (a!.colours as StrongDraw).blur !== null).length).toBeLessThan(n / 4);
  });
  test('a draw depends on nothing but its key', () => {
    expect(draw({}).draws).toEqual(draw({}).draws);
    expect(draw({}, 1).draws).not.toEqual(draw({}, 0).draws);
  });
  test('probabilities and strengths are those of the configuration', () => {
    const config = runConfigSchema.parse({});
    const n = 4000;
    const draws = Array.from(
      { length: n },
      (_, i) => drawViews(500, 375, config.augment, method.views(config), (p) => stream(0, 0, i, p))[1]!,
    );
    const share = (f: (d: (typeof draws)[0]) => boolean) => draws.filter(f).length / n;
    const near = 4 * Math.sqrt(0.25 / n); // four standard deviations
    const strong = (d: (typeof draws)[0]) => d.colours as StrongDraw;
    expect(Math.abs(share((d) => d.flip) - 0.5)).toBeLessThan(near);
    expect(Math.abs(share((d) => strong(d).jitter.length === 4) - 0.8)).toBeLessThan(near);
    expect(Math.abs(share((d) => strong(d).gray) - 0.2)).toBeLessThan(near);
    expect(Math.abs(share((d) => strong(d).blur !== null) - 0.1)).toBeLessThan(near);
    expect(Math.abs(share((d) => strong(d).solarize) - 0.2)).toBeLessThan(near);
    for (const { crop } of draws) {
      expect(crop.left).toBeGreaterThanOrEqual(0);
      expect(crop.left + crop.width).toBeLessThanOrEqual(500);
      expect(crop.top + crop.height).toBeLessThanOrEqual(375);
      expect((crop.width * crop.height) / (500 * 375)).toBeGreaterThan(0.07);
    }
    for (const d of draws) {
      for (const { op, amount } of strong(d).jitter) {
        const strength = { brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1 }[op];
        expect(Math.abs(amount - (op === 'hue' ? 0 : 1))).toBeLessThanOrEqual(strength);
      }
    }
  });
});
