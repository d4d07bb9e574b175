import { compiledImaging } from './imaging.ts';

/**
 * Colour and blur on 8-bit RGB, `[height * width * 3]`, with Pillow's arithmetic to the last bit where it matters: the
 * published augmentation (datasets.py) is torchvision's on Pillow images. All work in place unless said otherwise.
 * Each says what its compiled twin (imaging.ts) computes, and computes it where there is none.
 */

/** Pillow computes in 32-bit floats; where it truncates, their last bit decides. */
const float32 = Math.fround;

/** Luma as Pillow's `convert('L')`: ITU-R 601-2 in 16-bit fixed point. */
const luma = (r: number, g: number, b: number) => (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;

/** `Image.blend` of one value: towards `from` for a factor below 1, away from it above; truncated. */
export function blend(from: number, value: number, factor: number): number {
  const mixed = float32(from + float32(float32(factor) * (value - from)));
  return mixed <= 0 ? 0 : mixed >= 255 ? 255 : mixed | 0;
}

export function mapValues(rgb: Uint8Array, f: (value: number) => number): void {
  const table = new Uint8Array(256);
  for (let v = 0; v < 256; v++) table[v] = f(v);
  const compiled = compiledImaging();
  if (compiled) {
    compiled.mapValues(rgb, table);
    return;
  }
  for (let i = 0; i < rgb.length; i++) rgb[i] = table[rgb[i]!]!;
}

/** `ImageEnhance.Brightness`. */
export const brightness = (rgb: Uint8Array, factor: number) => mapValues(rgb, (v) => blend(0, v, factor));

/** `ImageEnhance.Contrast`: about the mean luma, rounded. */
export function contrast(rgb: Uint8Array, factor: number): void {
  const mean = Math.trunc(lumaSum(rgb) / (rgb.length / 3) + 0.5);
  mapValues(rgb, (v) => blend(mean, v, factor));
}

function lumaSum(rgb: Uint8Array): number {
  const compiled = compiledImaging();
  if (compiled) return compiled.lumaSum(rgb);
  let sum = 0;
  for (let i = 0; i < rgb.length; i += 3) sum += luma(rgb[i]!, rgb[i + 1]!, rgb[i + 2]!);
  return sum;
}

/** `ImageEnhance.Color`. */
export function saturation(rgb: Uint8Array, factor: number): void {
  const compiled = compiledImaging();
  if (compiled) {
    compiled.saturation(rgb, factor);
    return;
  }
  for (let i = 0; i < rgb.length; i += 3) {
    const r = rgb[i]!;
    const g = rgb[i + 1]!;
    const b = rgb[i + 2]!;
    const grey = luma(r, g, b);
    set(rgb, i, blend(grey, r, factor), blend(grey, g, factor), blend(grey, b, factor));
  }
}

export function grayscale(rgb: Uint8Array): void {
  const compiled = compiledImaging();
  if (compiled) {
    compiled.grayscale(rgb);
    return;
  }
  for (let i = 0; i < rgb.length; i += 3) {
    const grey = luma(rgb[i]!, rgb[i + 1]!, rgb[i + 2]!);
    set(rgb, i, grey, grey, grey);
  }
}

/** `ImageOps.solarize`: values at or above the threshold are inverted. */
export const solarize = (rgb: Uint8Array, threshold: number) => mapValues(rgb, (v) => (v < threshold ? v : 255 - v));

/** torchvision's `adjust_hue` on Pillow's 8-bit HSV. @param turns -0.5 to 0.5 */
export function hue(rgb: Uint8Array, turns: number): void {
  const shift = Math.trunc(turns * 255) & 255;
  const compiled = compiledImaging();
  if (compiled) {
    compiled.hue(rgb, shift);
    return;
  }
  for (let i = 0; i < rgb.length; i += 3) {
    const r = rgb[i]!;
    const g = rgb[i + 1]!;
    const b = rgb[i + 2]!;
    const most = r > g ? (r > b ? r : b) : g > b ? g : b;
    const least = r < g ? (r < b ? r : b) : g < b ? g : b;
    if (most === least) continue; // grey has no hue
    const range = most - least;
    const rc = float32((most - r) / range);
    const gc = float32((most - g) / range);
    const bc = float32((most - b) / range);
    const sixths = float32(r === most ? bc - gc : g === most ? 2 + rc - bc : 4 + gc - rc);
    const turn = sixths / 6 + 1;
    const h = ((float32(turn >= 1 ? turn - 1 : turn) * 255) | 0) + shift;
    const s = float32(((float32(range / most) * 255) | 0) / 255);
    const sixth = ((h & 255) * 6) / 255;
    const sector = sixth | 0;
    const f = float32(sixth - sector);
    const p = (most * (1 - s) + 0.5) | 0;
    const q = (most * (1 - s * f) + 0.5) | 0;
    const t = (most * (1 - s * (1 - f)) + 0.5) | 0;
    switch (sector) {
      case 0:
      case 6:
        set(rgb, i, most, t, p);
        break;
      case 1:
        set(rgb, i, q, most, p);
        break;
      case 2:
        set(rgb, i, p, most, t);
        break;
      case 3:
        set(rgb, i, p, q, most);
        break;
      case 4:
        set(rgb, i, t, p, most);
        break;
      default:
        set(rgb, i, most, p, q);
    }
  }
}

function set(rgb: Uint8Array, at: number, r: number, g: number, b: number): void {
  rgb[at] = r;
  rgb[at + 1] = g;
  rgb[at + 2] = b;
}

export function flip(rgb: Uint8Array, width: number): void {
  const compiled = compiledImaging();
  if (compiled) {
    compiled.flip(rgb, width);
    return;
  }
  for (let row = 0; row < rgb.length; row += 3 * width) {
    for (let a = row, b = row + 3 * (width - 1); a < b; a += 3, b -= 3) {
      for (let c = 0; c < 3; c++) {
        const v = rgb[a + c]!;
        rgb[a + c] = rgb[b + c]!;
        rgb[b + c] = v;
      }
    }
  }
}

const PASSES = 3;

/** Radius of the boxes that make up a Gaussian (Gwosdek et al., SSVM 2011); in 32-bit steps, as BoxBlur.c has it. */
function boxRadius(sigma: number): number {
  const variance = float32(float32(float32(sigma) ** 2) / PASSES);
  const length = float32(Math.sqrt(12 * variance + 1));
  const whole = Math.floor((length - 1) / 2);
  const above = float32((2 * whole + 1) * float32(whole * (whole + 1) - float32(3 * variance)));
  return float32(whole + float32(above / float32(6 * float32(variance - (whole + 1) ** 2))));
}

/**
 * `ImageFilter.GaussianBlur`: three box blurs of fractional radius in each direction.
 * @param sigma standard deviation, pixels
 */
export function gaussianBlur(rgb: Uint8Array, width: number, height: number, sigma: number): void {
  const radius = boxRadius(sigma);
  if (radius <= 0) return;
  const r = Math.trunc(radius);
  const inner = Math.trunc(float32(2 ** 24 / float32(radius * 2 + 1)));
  const outer = Math.trunc((2 ** 24 - (2 * r + 1) * inner) / 2);
  const compiled = compiledImaging();
  if (compiled) {
    compiled.boxBlurs(rgb, width, height, r, inner, outer);
    return;
  }
  const pad = r + 1;
  // A line with its edges repeated on both sides, and where a pass writes its result.
  const line = new Uint8Array(Math.max(width, height) + 2 * pad);
  const out = new Uint8Array(line.length);
  const along = (start: number, step: number, n: number) => {
    let [from, to] = [line, out];
    for (let i = 0, at = start; i < n; i++, at += step) from[pad + i] = rgb[at]!;
    for (let pass = 0; pass < PASSES; pass++) {
      from.fill(from[pad]!, 0, pad).fill(from[pad + n - 1]!, pad + n, n + 2 * pad);
      boxBlur(from, to, n, r, inner, outer);
      [from, to] = [to, from];
    }
    for (let i = 0, at = start; i < n; i++, at += step) rgb[at] = from[pad + i]!;
  };
  for (let y = 0; y < height; y++) for (let c = 0; c < 3; c++) along(3 * y * width + c, 3, width);
  for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) along(3 * x + c, 3 * width, height);
}

/** Weighted mean of 2r + 1 pixels and, by `outer`, the next on both sides; 24 bits after the point. Lines are padded by r + 1. */
function boxBlur(line: Uint8Array, out: Uint8Array, n: number, r: number, inner: number, outer: number): void {
  let sum = 0;
  for (let i = 1; i < 2 * r + 2; i++) sum += line[i]!;
  const last = 2 * r + 2; // from the outermost pixel on the left to that on the right
  for (let i = 0; i < n; i++) {
    const left = line[i]!;
    const right = line[i + last]!;
    out[i + r + 1] = (Math.imul(sum, inner) + Math.imul(left + right, outer) + 0x800000) >>> 24;
    sum += right - line[i + 1]!;
  }
}
