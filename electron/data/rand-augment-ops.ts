import { blend, mapValues } from './augment-ops.ts';

/**
 * Operations of RandAugment beyond those of augment-ops.ts, on 8-bit RGB, `[height * width * 3]`, with Pillow's arithmetic
 * to the last bit. All work in place unless said otherwise.
 */

const CHANNELS = 3;

function histogramOf(rgb: Uint8Array, channel: number): Uint32Array {
  const counts = new Uint32Array(256);
  for (let i = channel; i < rgb.length; i += CHANNELS) counts[rgb[i]!]!++;
  return counts;
}

function mapChannels(rgb: Uint8Array, tableOf: (counts: Uint32Array) => Uint8Array | null): void {
  for (let channel = 0; channel < CHANNELS; channel++) {
    const table = tableOf(histogramOf(rgb, channel));
    if (table) for (let i = channel; i < rgb.length; i += CHANNELS) rgb[i] = table[rgb[i]!]!;
  }
}

/** `ImageOps.autocontrast`: each channel's darkest value becomes 0, its lightest 255. */
export const autoContrast = (rgb: Uint8Array) =>
  mapChannels(rgb, (counts) => {
    const low = counts.findIndex((n) => n > 0);
    const high = counts.findLastIndex((n) => n > 0);
    if (high <= low) return null;
    const scale = 255 / (high - low);
    const offset = -low * scale;
    return Uint8Array.from({ length: 256 }, (_, v) => Math.max(0, Math.min(255, Math.trunc(v * scale + offset))));
  });

/** `ImageOps.equalize`: each channel's values are spread evenly. */
export const equalize = (rgb: Uint8Array) =>
  mapChannels(rgb, (counts) => {
    const last = counts.findLast((n) => n > 0) ?? 0;
    const step = Math.floor((rgb.length / CHANNELS - last) / 255);
    if (counts.filter((n) => n > 0).length <= 1 || step === 0) return null;
    const table = new Uint8Array(256);
    let n = Math.floor(step / 2);
    for (let v = 0; v < 256; v++) {
      table[v] = Math.min(255, Math.floor(n / step));
      n += counts[v]!;
    }
    return table;
  });

/** `ImageOps.invert`. */
export const invert = (rgb: Uint8Array) => mapValues(rgb, (v) => 255 - v);

/** `ImageOps.posterize`. No bit at all leaves black, as in Pillow when the published code was written. @param bits 0 to 8 */
export const posterize = (rgb: Uint8Array, bits: number) => mapValues(rgb, (v) => v & ~(2 ** (8 - bits) - 1));

/** timm's `solarize_add`: values below one half rise. */
export const solarizeAdd = (rgb: Uint8Array, add: number) =>
  mapValues(rgb, (v) => (v < 128 ? Math.min(255, v + add) : v));

/** Of `ImageFilter.SMOOTH`: the middle of 3 x 3, and the sum of all. */
const [MIDDLE, WHOLE] = [5, 13];

/** `ImageEnhance.Sharpness`: towards a smoothed image for a factor below 1, away from it above. The frame stays. */
export function sharpness(rgb: Uint8Array, width: number, height: number, factor: number): void {
  const from = rgb.slice();
  const row = CHANNELS * width;
  for (let y = 1; y < height - 1; y++) {
    for (let i = y * row + CHANNELS; i < (y + 1) * row - CHANNELS; i++) {
      let sum = (MIDDLE - 1) * from[i]!;
      for (let at = i - row; at <= i + row; at += row) sum += from[at - CHANNELS]! + from[at]! + from[at + CHANNELS]!;
      rgb[i] = blend(Math.floor(sum / WHOLE + 0.5), from[i]!, factor);
    }
  }
}

/** Where a pixel comes from: x = a·x' + b·y' + c, y = d·x' + e·y' + f, of pixels' middles. */
export type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

export const shearX = (factor: number): Affine => [1, factor, 0, 0, 1, 0];
export const shearY = (factor: number): Affine => [1, 0, 0, factor, 1, 0];
/** @param pixels to the left */
export const translateX = (pixels: number): Affine => [1, 0, pixels, 0, 1, 0];
/** @param pixels upwards */
export const translateY = (pixels: number): Affine => [1, 0, 0, 0, 1, pixels];

/** `Image.rotate`, counterclockwise about the middle. Null where nothing turns. */
export function rotation(degrees: number, width: number, height: number): Affine | null {
  const turned = ((degrees % 360) + 360) % 360;
  if (turned === 0) return null;
  const angle = (-turned * Math.PI) / 180;
  const short = (value: number) => Math.round(value * 1e15) / 1e15;
  const [cos, sin] = [short(Math.cos(angle)), short(Math.sin(angle))];
  const [x, y] = [width / 2, height / 2];
  return [cos, sin, cos * -x + sin * -y + x, -sin, cos, -sin * -x + cos * -y + y];
}

/** Pillow's cubic through four values (Geometry.c), a = -1. */
function cubic(v1: number, v2: number, v3: number, v4: number, d: number): number {
  return v2 + d * (v3 - v1 + d * (2 * (v1 - v2) + v3 - v4 + d * (-v1 + v2 - v3 + v4)));
}

/** `Image.transform` with bicubic resampling. @param fill RGB where nothing comes from */
export function transform(
  rgb: Uint8Array,
  width: number,
  height: number,
  [a, b, c, d, e, f]: Affine,
  fill: readonly number[],
): void {
  const from = rgb.slice();
  const clip = (v: number, n: number) => (v < 0 ? 0 : v < n ? v : n - 1);
  for (let row = 0, out = 0; row < height; row++) {
    for (let column = 0; column < width; column++, out += CHANNELS) {
      const [u, v] = [column + 0.5, row + 0.5];
      const [xin, yin] = [a * u + b * v + c, d * u + e * v + f];
      if (xin < 0 || xin >= width || yin < 0 || yin >= height) {
        for (let channel = 0; channel < CHANNELS; channel++) rgb[out + channel] = fill[channel]!;
        continue;
      }
      const [x, y] = [Math.floor(xin - 0.5), Math.floor(yin - 0.5)];
      const [dx, dy] = [xin - 0.5 - x, yin - 0.5 - y];
      const x0 = clip(x - 1, width) * CHANNELS;
      const x1 = clip(x, width) * CHANNELS;
      const x2 = clip(x + 1, width) * CHANNELS;
      const x3 = clip(x + 2, width) * CHANNELS;
      for (let channel = 0; channel < CHANNELS; channel++) {
        const along = (line: number) => {
          const at = clip(line, height) * width * CHANNELS + channel;
          return cubic(from[at + x0]!, from[at + x1]!, from[at + x2]!, from[at + x3]!, dx);
        };
        const value = cubic(along(y - 1), along(y), along(y + 1), along(y + 2), dy);
        rgb[out + channel] = value <= 0 ? 0 : value >= 255 ? 255 : value | 0;
      }
    }
  }
}
