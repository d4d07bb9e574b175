import type { AugmentConfig } from '../../shared/config.ts';
import { compiledImaging, type ResampleWeights } from './imaging.ts';
import type { Pixels } from './pixels.ts';

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

interface Filter {
  support: number;
  at(x: number): number;
}

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
/** Pillow's filters (Resample.c); its bicubic has a = -0.5. */
const FILTERS: Record<AugmentConfig['interpolation'], Filter> = {
  bilinear: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    at(value) {
      const a = -0.5;
      const x = Math.abs(value);
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
    },
  },
  lanczos: { support: 3, at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/** Bits after the point of a weight. */
const PRECISION = 22;

function weightsFor(input: number, output: number, filter: Filter): ResampleWeights {
  const scale = input / output;
  const stretch = Math.max(scale, 1); // a smaller output sees more input: no aliasing
  const support = filter.support * stretch;
  const taps = Math.ceil(support) * 2 + 1;
  const weights: ResampleWeights = {
    taps,
    first: new Int32Array(output),
    count: new Int32Array(output),
    values: new Int32Array(output * taps),
  };
  const row = new Float64Array(taps);
  for (let i = 0; i < output; i++) {
    const centre = (i + 0.5) * scale;
    const from = Math.max(0, Math.trunc(centre - support + 0.5));
    const to = Math.min(input, Math.trunc(centre + support + 0.5));
    let sum = 0;
    for (let x = from; x < to; x++) {
      row[x - from] = filter.at((x - centre + 0.5) / stretch);
      sum += row[x - from]!;
    }
    for (let t = 0; t < to - from; t++) weights.values[i * taps + t] = Math.round((row[t]! / sum) * 2 ** PRECISION);
    weights.first[i] = from;
    weights.count[i] = to - from;
  }
  return weights;
}

/** A part of an image, resized to a square, as `resized` does it. @returns RGB, `[size * size * 3]`, in `into` */
export function resizedCrop(
  image: Pixels,
  box: Box,
  size: number,
  interpolation: AugmentConfig['interpolation'],
  into = new Uint8Array(size * size * 3),
): Uint8Array {
  return resized(image, box, { width: size, height: size }, interpolation, into);
}

/**
 * A part of an image, resized as Pillow's `crop` and `resize` do it: across first, then down, each rounded to 8 bits.
 * @returns RGB, `[to.height * to.width * 3]`, in `into`
 */
export function resized(
  image: Pixels,
  box: Box,
  to: { width: number; height: number },
  interpolation: AugmentConfig['interpolation'],
  into: Uint8Array,
): Uint8Array {
  const filter = FILTERS[interpolation];
  const across = weightsFor(box.width, to.width, filter);
  const down = weightsFor(box.height, to.height, filter);
  const compiled = compiledImaging();
  if (compiled) {
    const start = (box.top * image.width + box.left) * 3;
    compiled.resample(image.data, start, image.width, box.height, across, down, into);
    return into;
  }
  // Math.imul and | 0 keep the sums whole numbers for the compiler: no overflow checks, half the time.
  const middle = new Uint8ClampedArray(box.height * to.width * 3);
  const half = 1 << (PRECISION - 1);
  const { data } = image;
  for (let y = 0; y < box.height; y++) {
    const row = ((box.top + y) * image.width + box.left) * 3;
    for (let x = 0, at = y * to.width * 3; x < to.width; x++, at += 3) {
      let r = half;
      let g = half;
      let b = half;
      let from = row + across.first[x]! * 3;
      const w = x * across.taps;
      const end = w + across.count[x]!;
      for (let t = w; t < end; t++, from += 3) {
        const weight = across.values[t]!;
        r = (r + Math.imul(weight, data[from]!)) | 0;
        g = (g + Math.imul(weight, data[from + 1]!)) | 0;
        b = (b + Math.imul(weight, data[from + 2]!)) | 0;
      }
      middle[at] = r >> PRECISION;
      middle[at + 1] = g >> PRECISION;
      middle[at + 2] = b >> PRECISION;
    }
  }
  const out = new Uint8ClampedArray(into.buffer, into.byteOffset, into.length);
  const stride = to.width * 3;
  for (let y = 0, at = 0; y < to.height; y++) {
    const first = down.first[y]! * stride;
    const w = y * down.taps;
    const end = w + down.count[y]!;
    // Three at a time: a weight is read once for them.
    for (let x = first; x < first + stride; x += 3, at += 3) {
      let r = half;
      let g = half;
      let b = half;
      for (let t = w, from = x; t < end; t++, from += stride) {
        const weight = down.values[t]!;
        r = (r + Math.imul(weight, middle[from]!)) | 0;
        g = (g + Math.imul(weight, middle[from + 1]!)) | 0;
        b = (b + Math.imul(weight, middle[from + 2]!)) | 0;
      }
      out[at] = r >> PRECISION;
      out[at + 1] = g >> PRECISION;
      out[at + 2] = b >> PRECISION;
    }
  }
  return into;
}
