/**
 * Colour and blur on 8-bit RGB, `[height * width * 3]`, with Pillow's arithmetic to the last bit where it matters: the
 * published augmentation (datasets.py) is torchvision's on Pillow images. All work in place unless said otherwise.
 */

/** Luma as Pillow's `convert('L')`: ITU-R 601-2 in 16-bit fixed point. */
const luma = (r: number, g: number, b: number) => (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;

/** `Image.blend` of one value: towards `from` for a factor below 1, away from it above; truncated. */
function blend(from: number, value: number, factor: number): number {
  const mixed = from + factor * (value - from);
  return mixed <= 0 ? 0 : mixed >= 255 ? 255 : Math.trunc(mixed);
}

function mapValues(rgb: Uint8Array, f: (value: number) => number): void {
  const table = Uint8Array.from({ length: 256 }, (_, v) => f(v));
  for (let i = 0; i < rgb.length; i++) rgb[i] = table[rgb[i]!]!;
}

/** `ImageEnhance.Brightness`. */
export const brightness = (rgb: Uint8Array, factor: number) => mapValues(rgb, (v) => blend(0, v, factor));

/** `ImageEnhance.Contrast`: about the mean luma, rounded. */
export function contrast(rgb: Uint8Array, factor: number): void {
  let sum = 0;
  for (let i = 0; i < rgb.length; i += 3) sum += luma(rgb[i]!, rgb[i + 1]!, rgb[i + 2]!);
  const mean = Math.trunc(sum / (rgb.length / 3) + 0.5);
  mapValues(rgb, (v) => blend(mean, v, factor));
}

/** `ImageEnhance.Color`. */
export function saturation(rgb: Uint8Array, factor: number): void {
  for (let i = 0; i < rgb.length; i += 3) {
    const grey = luma(rgb[i]!, rgb[i + 1]!, rgb[i + 2]!);
    for (let c = i; c < i + 3; c++) rgb[c] = blend(grey, rgb[c]!, factor);
  }
}

export function grayscale(rgb: Uint8Array): void {
  for (let i = 0; i < rgb.length; i += 3) rgb.fill(luma(rgb[i]!, rgb[i + 1]!, rgb[i + 2]!), i, i + 3);
}

/** `ImageOps.solarize`: values at or above the threshold are inverted. */
export const solarize = (rgb: Uint8Array, threshold: number) => mapValues(rgb, (v) => (v < threshold ? v : 255 - v));

/** torchvision's `adjust_hue` on Pillow's 8-bit HSV. @param turns -0.5 to 0.5 */
export function hue(rgb: Uint8Array, turns: number): void {
  const shift = Math.trunc(turns * 255) & 255;
  for (let i = 0; i < rgb.length; i += 3) {
    const [r, g, b] = [rgb[i]!, rgb[i + 1]!, rgb[i + 2]!];
    const most = Math.max(r, g, b);
    const least = Math.min(r, g, b);
    if (most === least) continue; // grey has no hue
    const range = most - least;
    const [rc, gc, bc] = [(most - r) / range, (most - g) / range, (most - b) / range];
    const sixths = r === most ? bc - gc : g === most ? 2 + rc - bc : 4 + gc - rc;
    const h = (Math.trunc(((sixths / 6 + 1) % 1) * 255) + shift) & 255;
    const s = Math.trunc((range / most) * 255) / 255;
    const sector = Math.floor((h * 6) / 255);
    const f = (h * 6) / 255 - sector;
    const p = Math.round(most * (1 - s));
    const q = Math.round(most * (1 - s * f));
    const t = Math.round(most * (1 - s * (1 - f)));
    switch (sector % 6) {
      case 0:
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

/**
 * `ImageFilter.GaussianBlur`: three box blurs of fractional radius in each direction (Gwosdek et al., SSVM 2011).
 * @param radius standard deviation, pixels
 */
export function gaussianBlur(rgb: Uint8Array, width: number, height: number, radius: number): void {
  const variance = radius ** 2 / PASSES;
  const whole = Math.floor((Math.sqrt(12 * variance + 1) - 1) / 2);
  const part = ((2 * whole + 1) * (whole * (whole + 1) - 3 * variance)) / (6 * (variance - (whole + 1) ** 2));
  const box = whole + part;
  if (box <= 0) return;
  const line = new Uint8Array(Math.max(width, height));
  const out = new Uint8Array(line.length);
  const along = (start: number, step: number, n: number) => {
    for (let i = 0; i < n; i++) line[i] = rgb[start + i * step]!;
    for (let pass = 0; pass < PASSES; pass++) {
      boxBlur(line, out, n, box);
      line.set(out.subarray(0, n));
    }
    for (let i = 0; i < n; i++) rgb[start + i * step] = line[i]!;
  };
  for (let y = 0; y < height; y++) for (let c = 0; c < 3; c++) along(3 * y * width + c, 3, width);
  for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) along(3 * x + c, 3 * width, height);
}

/** Mean over 2 * radius + 1 pixels, the outermost counted in part; edges repeat; 24-bit fixed point as in BoxBlur.c. */
function boxBlur(line: Uint8Array, out: Uint8Array, n: number, radius: number): void {
  const r = Math.trunc(radius);
  const inner = Math.trunc(2 ** 24 / (radius * 2 + 1));
  const outer = Math.trunc((2 ** 24 - (2 * r + 1) * inner) / 2);
  const at = (i: number) => line[i < 0 ? 0 : i >= n ? n - 1 : i]!;
  let sum = 0;
  for (let i = -r; i <= r; i++) sum += at(i);
  for (let i = 0; i < n; i++) {
    out[i] = Math.floor((sum * inner + (at(i - r - 1) + at(i + r + 1)) * outer + 2 ** 23) / 2 ** 24);
    sum += at(i + r + 1) - at(i - r);
  }
}
