import { afterAll, describe, expect, test } from 'vitest';
import * as ops from '../../electron/data/augment-ops.ts';
import { compiledImaging, usePlainImaging } from '../../electron/data/imaging.ts';
import { normalise, normaliseTables } from '../../electron/data/normalise.ts';
import { type Random, stream } from '../../electron/data/random.ts';
import { resizedCrop } from '../../electron/data/resample.ts';

usePlainImaging(false);
const compiled = compiledImaging();
const why = 'skipped: the compiled arithmetic was not built (a C++ compiler is missing)';
afterAll(() => usePlainImaging(process.env.CONMIM_IMAGING === 'plain'));

/** Pictures of odd sizes: noise, few values, grey, black and white, and every pair of the values at the ends. */
function pictures(random: Random): { rgb: Uint8Array; width: number; height: number }[] {
  const sizes = [
    [1, 1],
    [1, 7],
    [2, 1],
    [3, 5],
    [17, 31],
    [85, 3],
    [86, 3],
    [255, 2],
    [257, 3],
    [64, 33],
    [101, 89],
  ] as const;
  const kinds: ((at: number) => number)[] = [
    () => random.int(256),
    () => [0, 1, 127, 128, 254, 255][random.int(6)]!,
    () => random.int(4) * 85,
    (at) => Math.trunc(at / 3) % 256,
    () => 0,
    () => 255,
  ];
  return sizes.flatMap(([width, height]) =>
    kinds.map((kind) => ({
      rgb: Uint8Array.from({ length: width * height * 3 }, (_, at) => kind(at)),
      width,
      height,
    })),
  );
}

/** What `act` makes of a copy, by JavaScript and compiled. */
function both<T extends { length: number }>(make: () => T, act: (copy: T) => void): [T, T] {
  const results = [true, false].map((plain) => {
    usePlainImaging(plain);
    const copy = make();
    act(copy);
    return copy;
  });
  return results as [T, T];
}

describe.skipIf(!compiled)(`compiled arithmetic gives the bytes of the plain one${compiled ? '' : ` (${why})`}`, () => {
  const random = stream(5, 0, 0, 'imaging');
  const inPlace: Record<string, (rgb: Uint8Array, width: number, height: number) => void> = {
    brightness: (rgb) => ops.brightness(rgb, random01 * 2),
    contrast: (rgb) => ops.contrast(rgb, random01 * 2),
    saturation: (rgb) => ops.saturation(rgb, random01 * 2),
    hue: (rgb) => ops.hue(rgb, random01 - 0.5),
    grayscale: (rgb) => ops.grayscale(rgb),
    solarize: (rgb) => ops.solarize(rgb, Math.round(random01 * 255)),
    flip: (rgb, width) => ops.flip(rgb, width),
    blur: (rgb, width, height) => ops.gaussianBlur(rgb, width, height, 0.1 + random01 * 6),
  };
  let random01 = 0;
  test.each(Object.keys(inPlace))('%s', (name) => {
    let changed = 0;
    for (const { rgb, width, height } of pictures(random)) {
      random01 = random.next();
      const [want, got] = both(
        () => rgb.slice(),
        (copy) => inPlace[name]!(copy, width, height),
      );
      expect(Buffer.compare(got, want), `${width}x${height}, ${random01}`).toBe(0);
      if (Buffer.compare(got, rgb) !== 0) changed++;
    }
    expect(changed).toBeGreaterThan(10);
  });

  test('hue, on every colour of a coarse cube and every shift', () => {
    const levels = Array.from({ length: 16 }, (_, i) => i * 17);
    const cube = Uint8Array.from(levels.flatMap((r) => levels.flatMap((g) => levels.flatMap((b) => [r, g, b]))));
    for (let shift = -127; shift <= 127; shift++) {
      const [want, got] = both(
        () => cube.slice(),
        (rgb) => ops.hue(rgb, shift / 255),
      );
      expect(Buffer.compare(got, want), `shift ${shift}`).toBe(0);
    }
  });

  test.each(['bilinear', 'bicubic', 'lanczos'] as const)('resized crops, %s', (interpolation) => {
    for (let trial = 0; trial < 60; trial++) {
      const [width, height] = [1 + random.int(90), 1 + random.int(90)];
      const data = Uint8Array.from({ length: width * height * 3 }, () =>
        random.int(2) ? 255 * random.int(2) : random.int(256),
      );
      const box = { width: 1 + random.int(width), height: 1 + random.int(height), left: 0, top: 0 };
      // Every third ends where the memory ends.
      box.left = trial % 3 ? random.int(width - box.width + 1) : width - box.width;
      box.top = trial % 3 ? random.int(height - box.height + 1) : height - box.height;
      const size = 1 + random.int(70);
      const [want, got] = both(
        () => new Uint8Array(size * size * 3),
        (into) => resizedCrop({ data, width, height }, box, size, interpolation, into),
      );
      expect(Buffer.compare(got, want), JSON.stringify({ width, height, box, size })).toBe(0);
    }
  });

  test('normalised values are the same floats, and those of the formula', () => {
    const [mean, std] = [
      [0.485, 0.456, 0.406] as [number, number, number],
      [0.229, 0.224, 0.225] as [number, number, number],
    ];
    for (const { rgb } of pictures(random)) {
      const [want, got] = both(
        () => new Float32Array(rgb.length),
        (out) => normalise(rgb, normaliseTables({ mean, std }), out),
      );
      expect(got).toEqual(want);
      const formula = Float32Array.from(rgb, (v, i) => (v / 255 - mean[i % 3]!) / std[i % 3]!);
      expect(got).toEqual(formula);
    }
  });

  test('numbers beyond their range are taken as JavaScript takes them', () => {
    const { rgb } = pictures(random).at(-6)!;
    for (const shift of [Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31 + 5, -7, -1e300, 300.9]) {
      const [want, got] = [rgb.slice(), rgb.slice()];
      compiled!.hue(want, shift & 255);
      compiled!.hue(got, shift);
      expect(Buffer.compare(got, want), String(shift)).toBe(0);
    }
    for (const factor of [Number.NaN, 1e30, -1e30, Number.POSITIVE_INFINITY, 1e300]) {
      const [want, got] = both(
        () => rgb.slice(),
        (copy) => ops.saturation(copy, factor),
      );
      expect(Buffer.compare(got, want), String(factor)).toBe(0);
    }
    expect(() => compiled!.boxBlurs(new Uint8Array(27), 3, 3, 1 << 20, 2 ** 32 - 1, 2 ** 32 - 1)).not.toThrow();
  });

  test('sizes that do not fit are refused, and nothing is written', () => {
    const rgb = new Uint8Array(30).fill(7);
    const weights = (size: number, first: number, count: number) => ({
      taps: 3,
      first: new Int32Array(size).fill(first),
      count: new Int32Array(size).fill(count),
      values: new Int32Array(size * 3).fill(1 << 20),
    });
    const fits = weights(2, 0, 3);
    const heavy = { ...fits, values: new Int32Array(6).fill(-(2 ** 31)) }; // sums have 31 bits
    const out = new Uint8Array(12);
    const refused: (() => void)[] = [
      () => compiled!.flip(rgb, 0),
      () => compiled!.boxBlurs(rgb, 5, 3, 1, 1, 1),
      () => compiled!.boxBlurs(rgb, 1e9, 1e9, 1, 1, 1),
      () => compiled!.mapValues(rgb, new Uint8Array(255)),
      () => compiled!.normalise(rgb, new Float32Array(768), new Float32Array(29)),
      () => compiled!.normalise(rgb, new Float32Array(767), new Float32Array(30)),
      () => compiled!.hue(new Float32Array(30) as unknown as Uint8Array, 1),
      () => compiled!.resample(rgb, 0, 5, 3, fits, fits, out),
      () => compiled!.resample(rgb, 0, 5, 2, weights(2, 3, 3), weights(2, 0, 2), out),
      () => compiled!.resample(rgb, 9, 5, 2, fits, weights(2, 0, 2), out),
      () => compiled!.resample(rgb, 15, 5, 2, fits, weights(2, 0, 2), out),
      () => compiled!.resample(rgb, 0, 5, 2, fits, weights(2, 0, 3), out),
      () => compiled!.resample(rgb, 0, 5, 2, fits, weights(2, 0, 2), new Uint8Array(11)),
      () => compiled!.resample(rgb, 0, 5, 2, { ...fits, values: new Int32Array(5) }, weights(2, 0, 2), out),
      () => compiled!.resample(rgb, -3, 5, 2, fits, weights(2, 0, 2), out),
      () => compiled!.resample(rgb, Number.NaN, 5, 2, fits, weights(2, 0, 2), out),
      () => compiled!.resample(rgb, 0, 5, 2, heavy, weights(2, 0, 2), out),
    ];
    for (const act of refused) expect(act, act.toString()).toThrow(RangeError);
    expect(rgb.every((v) => v === 7) && out.every((v) => v === 0)).toBe(true);
    compiled!.resample(rgb, 0, 5, 2, fits, weights(2, 0, 2), out);
    expect(out.some((v) => v !== 0)).toBe(true);
  });
});
