import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { decodeImage, sniffFormat } from '../../electron/data/decode.ts';
import { probeFile, probeImage } from '../../electron/data/probe.ts';
import { AppError } from '../../shared/errors.ts';

vi.setConfig({ testTimeout: 60_000 });

const folder = mkdtempSync(join(tmpdir(), 'conmim-decode-'));
afterAll(() => rmSync(folder, { recursive: true }));

type Rgb = [number, number, number];
const RED: Rgb = [220, 30, 20];
const GREEN: Rgb = [20, 200, 40];
const BLUE: Rgb = [30, 40, 210];
const GRAY: Rgb = [128, 128, 128];

/** 64 x 48: red top left, green top right, blue bottom left, grey bottom right. */
const W = 64;
const H = 48;
const quarter = (x: number, y: number, w = W, h = H): Rgb =>
  y < h / 2 ? (x < w / 2 ? RED : GREEN) : x < w / 2 ? BLUE : GRAY;
const quarters = new Uint8Array(W * H * 3);
for (let y = 0; y < H; y++) for (let x = 0; x < W; x++) quarters.set(quarter(x, y), 3 * (y * W + x));
const picture = (): Sharp => sharp(quarters, { raw: { width: W, height: H, channels: 3 } });
const raw = (data: Uint8Array | Uint16Array, channels: 1 | 2 | 3 | 4) =>
  sharp(data, { raw: { width: W, height: H, channels } });

const at = (image: { data: Uint8Array; width: number }, x: number, y: number) =>
  [...image.data.subarray(3 * (y * image.width + x), 3 * (y * image.width + x) + 3)] as Rgb;
const far = (a: Rgb, b: Rgb) => Math.max(...a.map((v, i) => Math.abs(v - b[i]!)));

/** The middle of each quarter, within `tolerance`. */
function expectQuarters(image: { data: Uint8Array; width: number; height: number }, tolerance: number) {
  expect(image.data.length).toBe(image.width * image.height * 3);
  for (const fx of [0.25, 0.75]) {
    for (const fy of [0.25, 0.75]) {
      const [x, y] = [Math.floor(fx * image.width), Math.floor(fy * image.height)];
      const want = quarter(x, y, image.width, image.height);
      expect(far(at(image, x, y), want), `at ${x},${y}: ${at(image, x, y)} for ${want}`).toBeLessThanOrEqual(tolerance);
    }
  }
}

const crcTable = Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});
function pngChunk(type: string, body: Buffer): Buffer {
  const data = Buffer.concat([Buffer.from(type), body]);
  const crc = data.reduce((c, b) => crcTable[(c ^ b) & 255]! ^ (c >>> 8), 0xffffffff);
  const out = Buffer.alloc(data.length + 8);
  out.writeUInt32BE(body.length);
  data.copy(out, 4);
  out.writeUInt32BE((crc ^ 0xffffffff) >>> 0, out.length - 4);
  return out;
}
/** A PNG of a few bytes that declares `side` x `side` pixels. */
function pixelBomb(side: number): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(side);
  head.writeUInt32BE(side, 4);
  head.set([8, 2], 8);
  const chunks = [
    pngChunk('IHDR', head),
    pngChunk('IDAT', deflateSync(Buffer.alloc(1000))),
    pngChunk('IEND', Buffer.alloc(0)),
  ];
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), ...chunks]);
}

/** Uncompressed little-endian TIFF of 16-bit samples. */
function tiff16(samples: Uint16Array, width: number, height: number, channels: 1 | 3): Buffer {
  const pixels = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
  const entries: [number, number, number, number][] = [
    [256, 4, 1, width],
    [257, 4, 1, height],
    [258, 3, channels, channels === 1 ? 16 : 8],
    [259, 3, 1, 1],
    [262, 3, 1, channels === 1 ? 1 : 2],
    [273, 4, 1, 16],
    [277, 3, 1, channels],
    [278, 4, 1, height],
    [279, 4, 1, pixels.length],
  ];
  const ifd = Buffer.alloc(2 + 12 * entries.length + 4);
  ifd.writeUInt16LE(entries.length);
  entries.forEach(([tag, type, count, value], i) => {
    ifd.writeUInt16LE(tag, 2 + 12 * i);
    ifd.writeUInt16LE(type, 4 + 12 * i);
    ifd.writeUInt32LE(count, 6 + 12 * i);
    ifd.writeUInt32LE(value, 10 + 12 * i);
  });
  // Bits per sample of three channels do not fit their entry: they stand at offset 8.
  const head = Buffer.alloc(16);
  head.write('II*\0', 'latin1');
  head.writeUInt32LE(16 + pixels.length, 4);
  for (const at of [8, 10, 12]) head.writeUInt16LE(16, at);
  return Buffer.concat([head, pixels, ifd]);
}

interface Bmp {
  width: number;
  height: number;
  bits: number;
  /** Stored rows, padded. */
  rows: Buffer;
  palette?: Rgb[];
  compression?: number;
  masks?: number[];
  topDown?: boolean;
}
function bmp({ width, height, bits, rows, palette = [], compression = 0, masks = [], topDown = false }: Bmp): Buffer {
  const extra = 4 * palette.length + 4 * masks.length;
  const head = Buffer.alloc(54 + extra);
  head.write('BM');
  head.writeUInt32LE(54 + extra + rows.length, 2);
  head.writeUInt32LE(54 + extra, 10);
  head.writeUInt32LE(40, 14);
  head.writeInt32LE(width, 18);
  head.writeInt32LE(topDown ? -height : height, 22);
  head.writeUInt16LE(1, 26);
  head.writeUInt16LE(bits, 28);
  head.writeUInt32LE(compression, 30);
  head.writeUInt32LE(palette.length, 46);
  for (const [i, mask] of masks.entries()) head.writeUInt32LE(mask, 54 + 4 * i);
  for (const [i, [r, g, b]] of palette.entries()) head.set([b, g, r, 0], 54 + 4 * masks.length + 4 * i);
  return Buffer.concat([head, rows]);
}
/** Rows of `bytesPerRow` bytes, padded to four, bottom row first unless `topDown`. */
function bmpRows(
  width: number,
  height: number,
  bits: number,
  pixel: (x: number, y: number) => number,
  topDown = false,
) {
  const stride = 4 * Math.ceil((width * bits) / 32);
  const rows = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const start = stride * (topDown ? y : height - 1 - y);
      const value = pixel(x, y);
      if (bits >= 8) rows.writeUIntLE(value, start + (x * bits) / 8, bits / 8);
      else rows[start + Math.floor((x * bits) / 8)]! |= value << (8 - bits - ((x * bits) % 8));
    }
  }
  return rows;
}
const PALETTE = [RED, GREEN, BLUE, GRAY];
const index = (x: number, y: number, w: number, h: number) => PALETTE.indexOf(quarter(x, y, w, h));
const bgr = ([r, g, b]: Rgb) => (r << 16) | (g << 8) | b;

describe('decodeImage', () => {
  it.each([
    ['PNG', () => picture().png(), 0],
    ['PNG with a palette', () => picture().png({ palette: true, colours: 8 }), 3],
    ['WebP, lossless', () => picture().webp({ lossless: true }), 0],
    ['TIFF, LZW', () => picture().tiff({ compression: 'lzw' }), 0],
    ['JPEG', () => picture().jpeg({ quality: 95, chromaSubsampling: '4:4:4' }), 4],
    ['WebP', () => picture().webp({ quality: 95 }), 12],
    ['AVIF', () => picture().avif({ quality: 90, chromaSubsampling: '4:4:4' }), 8],
    ['GIF', () => picture().gif(), 6],
    // Not all of these colours exist in print: the round trip through CMYK moves them, and an inverted one by far more.
    ['CMYK JPEG', () => picture().toColourspace('cmyk').jpeg({ quality: 95 }), 100],
  ])('reads %s', async (_, make, tolerance) => {
    const image = await decodeImage(await make().toBuffer());
    expect([image.width, image.height]).toEqual([W, H]);
    expectQuarters(image, tolerance);
  });

  it('keeps the colours of a CMYK JPEG that print can show', async () => {
    const colours: Rgb[] = [
      [150, 110, 100],
      [100, 130, 110],
      [105, 115, 140],
      [130, 130, 130],
      [230, 230, 230],
    ];
    for (const colour of colours) {
      const flat = new Uint8Array(W * H * 3).map((_, i) => colour[i % 3]!);
      const file = await raw(flat, 3).toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer();
      expect((await sharp(file).metadata()).space).toBe('cmyk');
      const seen = at(await decodeImage(file), 30, 20);
      expect(far(seen, colour), `${seen} for ${colour}`).toBeLessThanOrEqual(16);
    }
  });

  it('applies each EXIF orientation', async () => {
    // Where the stored top left (red) must be seen, by the EXIF standard.
    const corners: Record<number, [number, number]> = {
      1: [0, 0],
      2: [1, 0],
      3: [1, 1],
      4: [0, 1],
      5: [0, 0],
      6: [1, 0],
      7: [1, 1],
      8: [0, 1],
    };
    for (const [orientation, [cx, cy]] of Object.entries(corners)) {
      const file = await picture()
        .png()
        .withMetadata({ orientation: Number(orientation) })
        .toBuffer();
      const image = await decodeImage(file);
      expect([image.width, image.height]).toEqual(Number(orientation) > 4 ? [H, W] : [W, H]);
      expect(at(image, cx * (image.width - 1), cy * (image.height - 1)), `orientation ${orientation}`).toEqual(RED);
      expect(await probeImage(file)).toMatchObject({ width: image.width, height: image.height });
    }
  });

  it('flattens alpha over white', async () => {
    const rgba = new Uint8Array(W * H * 4);
    for (let i = 0; i < W * H; i++) rgba.set([200, 100, 0, [255, 128, 0][i % 3]!], 4 * i);
    const image = await decodeImage(await raw(rgba, 4).png().toBuffer());
    expect(at(image, 0, 0)).toEqual([200, 100, 0]);
    expect(far(at(image, 1, 0), [227, 177, 127])).toBeLessThanOrEqual(1); // 255 + (c - 255) * 128 / 255
    expect(at(image, 2, 0)).toEqual([255, 255, 255]);
  });

  it('expands grey, with and without alpha', async () => {
    const gray = new Uint8Array(W * H).map((_, i) => i % 256);
    for (const file of [
      await raw(gray, 1).toColourspace('b-w').png().toBuffer(),
      await raw(gray, 1).toColourspace('b-w').jpeg({ quality: 100 }).toBuffer(),
    ]) {
      expect((await sharp(file).metadata()).channels).toBe(1);
      const image = await decodeImage(file);
      expect(image.data.length).toBe(W * H * 3);
      for (const i of [0, 40, 200, 255])
        expect(far(at(image, i % W, Math.floor(i / W)), [i, i, i])).toBeLessThanOrEqual(2);
    }
    const withAlpha = new Uint8Array(W * H * 2).map((_, i) => (i % 2 === 0 ? 100 : 0));
    expect(at(await decodeImage(await raw(withAlpha, 2).toColourspace('b-w').png().toBuffer()), 5, 5)).toEqual([
      255, 255, 255,
    ]);
  });

  it('scales 16 bits to 8, in PNG and TIFF, grey and colour', async () => {
    const values = [0, 255, 256, 5000, 32768, 50000, 65535];
    const gray = new Uint16Array(W * H).map((_, i) => values[i % values.length]!);
    const colour = new Uint16Array(W * H * 3).map((_, i) => values[i % values.length]!);
    const files = {
      'grey PNG': [await raw(gray, 1).toColourspace('grey16').png().toBuffer(), 1],
      'RGB PNG': [await raw(colour, 3).toColourspace('rgb16').png().toBuffer(), 3],
      'grey TIFF': [tiff16(gray, W, H, 1), 1],
      'RGB TIFF': [tiff16(colour, W, H, 3), 3],
    } as const;
    for (const [name, [file, channels]] of Object.entries(files)) {
      expect((await sharp(file).metadata()).depth, name).toBe('ushort');
      const { data } = await decodeImage(file);
      for (let i = 0; i < 50; i++) {
        const want = values[(channels === 1 ? Math.floor(i / 3) : i) % values.length]! / 257;
        expect(Math.abs(data[i]! - want), `${name}, sample ${i}: ${data[i]}`).toBeLessThanOrEqual(1);
      }
      expect(await probeImage(file)).toMatchObject({ width: W, height: H });
    }
  });

  it('takes the first frame of an animation and the first page of a TIFF', async () => {
    const frames = Buffer.alloc(32 * 64 * 3);
    for (let i = 0; i < 32 * 64; i++) frames.set(i < 32 * 32 ? RED : BLUE, 3 * i);
    for (const format of ['gif', 'webp'] as const) {
      const file = await sharp(frames, { raw: { width: 32, height: 64, channels: 3, pageHeight: 32 } })
        .toFormat(format, format === 'webp' ? { lossless: true } : {})
        .toBuffer();
      expect((await sharp(file).metadata()).pages).toBe(2);
      const image = await decodeImage(file);
      expect([image.width, image.height]).toEqual([32, 32]);
      expect(far(at(image, 16, 31), RED)).toBeLessThanOrEqual(6);
      expect(await probeImage(file)).toEqual({ width: 32, height: 32, format, note: 'the first of 2 frames is read' });
    }
  });

  it('shrinks until the image just covers, and never enlarges', async () => {
    const file = await picture().png().toBuffer();
    const small = await decodeImage(file, { shrinkTo: { width: 24, height: 24 } });
    expect([small.width, small.height]).toEqual([32, 24]);
    expectQuarters(small, 6);
    const same = await decodeImage(file, { shrinkTo: { width: 500, height: 500 } });
    expect([same.width, same.height]).toEqual([W, H]);
    const turned = await picture().jpeg({ quality: 100 }).withMetadata({ orientation: 6 }).toBuffer();
    const upright = await decodeImage(turned, { shrinkTo: { width: 24, height: 24 } });
    expect([upright.width, upright.height]).toEqual([24, 32]);
  });

  it('says which file, why, and what to do', async () => {
    const path = join(folder, 'bad.jpg');
    writeFileSync(path, 'not an image at all');
    const error = await decodeImage(path).catch((e) => e);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({
      kind: 'bad-file',
      message: expect.stringContaining(path),
      why: expect.stringContaining('none of JPEG'),
    });
    await expect(decodeImage(join(folder, 'absent.png'))).rejects.toMatchObject({ kind: 'bad-file' });
  });

  it('never hands SVG to the decoder', async () => {
    const svg = Buffer.from(
      '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><rect width="64" height="64"/></svg>',
    );
    expect(sniffFormat(svg)).toBeNull();
    await expect(decodeImage(svg)).rejects.toMatchObject({ kind: 'bad-file' });
  });
});

describe('BMP', () => {
  const [w, h] = [19, 10]; // odd: rows are padded, and the last byte of a row is used in part
  const expectBmp = async (file: Buffer, tolerance = 0) => {
    const image = await decodeImage(file);
    expect([image.width, image.height]).toEqual([w, h]);
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++) expect(far(at(image, x, y), quarter(x, y, w, h))).toBeLessThanOrEqual(tolerance);
    expect(await probeImage(file, { minSide: 1 })).toEqual({ width: w, height: h, format: 'bmp' });
  };

  it.each([false, true])('reads 24 bits, top down %s', async (topDown) => {
    const rows = bmpRows(w, h, 24, (x, y) => bgr(quarter(x, y, w, h)), topDown);
    await expectBmp(bmp({ width: w, height: h, bits: 24, rows, topDown }));
  });

  it.each([4, 8])('reads %d bits with a palette', async (bits) => {
    const rows = bmpRows(w, h, bits, (x, y) => index(x, y, w, h));
    await expectBmp(bmp({ width: w, height: h, bits, rows, palette: PALETTE }));
  });

  it('reads 1 bit', async () => {
    const rows = bmpRows(w, h, 1, (x, y) => (x + y) % 2);
    const image = await decodeImage(bmp({ width: w, height: h, bits: 1, rows, palette: [RED, BLUE] }));
    for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) expect(at(image, x, y)).toEqual((x + y) % 2 ? BLUE : RED);
  });

  it('reads 16 bits, 5-5-5 and masked 5-6-5', async () => {
    const pack = (bits: Rgb) => (x: number, y: number) => {
      const [r, g, b] = quarter(x, y, w, h).map((v, c) => Math.round((v * (2 ** bits[c]! - 1)) / 255)) as Rgb;
      return (r << (bits[1] + bits[2])) | (g << bits[2]) | b;
    };
    await expectBmp(bmp({ width: w, height: h, bits: 16, rows: bmpRows(w, h, 16, pack([5, 5, 5])) }), 5);
    const masks = [0xf800, 0x7e0, 0x1f];
    await expectBmp(
      bmp({ width: w, height: h, bits: 16, rows: bmpRows(w, h, 16, pack([5, 6, 5])), compression: 3, masks }),
      5,
    );
  });

  it('reads 32 bits, and flattens a masked alpha', async () => {
    const rows = bmpRows(w, h, 32, (x, y) => bgr(quarter(x, y, w, h)));
    await expectBmp(bmp({ width: w, height: h, bits: 32, rows }));
    const masks = [0xff0000, 0xff00, 0xff, 0xff000000];
    const half = bmpRows(w, h, 32, () => (0x80000000 | bgr([200, 100, 0])) >>> 0);
    const image = await decodeImage(bmp({ width: w, height: h, bits: 32, rows: half, compression: 6, masks }));
    expect(far(at(image, 3, 3), [227, 177, 127])).toBeLessThanOrEqual(1);
  });

  it('reads run-length coding with literal runs and jumps', async () => {
    // Bottom line: 3 of colour 1, then the literal run 2 3 2 (padded); a jump up one line and right one; 2 of colour 3.
    const rows = Buffer.from([3, 1, 0, 3, 2, 3, 2, 0, 0, 0, 0, 2, 1, 0, 2, 3, 0, 1]);
    const image = await decodeImage(bmp({ width: 6, height: 2, bits: 8, rows, palette: PALETTE, compression: 1 }));
    const line = (y: number) =>
      Array.from({ length: 6 }, (_, x) => PALETTE.findIndex((c) => far(c, at(image, x, y)) === 0));
    expect(line(1)).toEqual([1, 1, 1, 2, 3, 2]);
    expect(line(0)).toEqual([0, 3, 3, 0, 0, 0]);
    const four = Buffer.from([5, 0x12, 0, 0, 0, 3, 0x32, 0x10, 0, 1]);
    const nibbles = await decodeImage(
      bmp({ width: 6, height: 2, bits: 4, rows: four, palette: PALETTE, compression: 2 }),
    );
    const seen = (y: number) =>
      Array.from({ length: 6 }, (_, x) => PALETTE.findIndex((c) => far(c, at(nibbles, x, y)) === 0));
    expect(seen(1)).toEqual([1, 2, 1, 2, 1, 0]);
    expect(seen(0)).toEqual([3, 2, 1, 0, 0, 0]);
  });

  it('refuses sizes that the file does not hold, before taking memory', async () => {
    const rows = bmpRows(w, h, 24, () => 0);
    const good = bmp({ width: w, height: h, bits: 24, rows });
    expect(await probeImage(good.subarray(0, -1), { minSide: 1 })).toMatchObject({ reason: 'truncated' });
    expect(await probeImage(good.subarray(0, 30), { minSide: 1 })).toMatchObject({ reason: 'truncated' });
    expect(await probeImage(bmp({ width: 2 ** 30, height: 2 ** 30, bits: 24, rows }))).toMatchObject({
      reason: 'truncated',
    });
    const run = bmp({
      width: 60000,
      height: 60000,
      bits: 8,
      rows: Buffer.from([0, 1]),
      palette: PALETTE,
      compression: 1,
    });
    expect(await probeImage(run)).toMatchObject({ reason: 'too-large' });
    const pointer = Buffer.from(good);
    pointer.writeUInt32LE(20, 10);
    expect(await probeImage(pointer, { minSide: 1 })).toMatchObject({ reason: 'unreadable' });
    for (let i = 0; i < 2000; i++) {
      const broken = Buffer.from(good);
      for (let k = 0; k < 3; k++) broken[(i * 7 + k * 13) % 54] = (i * 31 + k * 101) % 256;
      const probe = await probeImage(broken, { minSide: 1, maxPixels: 10_000 });
      if (!('reason' in probe)) expect(probe.width * probe.height).toBeLessThanOrEqual(10_000);
    }
  });
});

describe('probeImage', () => {
  const noise = new Uint8Array(200 * 150 * 3);
  let seed = 1;
  for (let i = 0; i < noise.length; i++) {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    noise[i] = seed >>> 16;
  }
  const noisy = () => sharp(noise, { raw: { width: 200, height: 150, channels: 3 } });

  it.each([
    ['jpeg', () => noisy().jpeg()],
    ['progressive jpeg', () => noisy().jpeg({ progressive: true })],
    ['png', () => noisy().png()],
    ['interlaced png', () => noisy().png({ progressive: true })],
    ['webp', () => noisy().webp()],
    ['avif', () => noisy().avif({ effort: 0 })],
    ['tiff', () => noisy().tiff({ compression: 'lzw' })],
    ['gif', () => noisy().gif()],
  ])('finds a truncated %s at any length, in memory and on disk', async (name, make) => {
    const whole = await make().toBuffer();
    expect(await probeImage(whole)).toMatchObject({ width: 200, height: 150 });
    for (const length of [whole.length - 20, Math.floor(whole.length * 0.9), Math.floor(whole.length * 0.3)]) {
      const cut = whole.subarray(0, length);
      expect(await probeImage(cut), `${length} of ${whole.length} bytes`).toMatchObject({ reason: 'truncated' });
      const path = join(folder, `cut-${name}`);
      writeFileSync(path, cut);
      expect(await probeFile(path, {})).toMatchObject({ reason: 'truncated' });
      await expect(decodeImage(path)).rejects.toMatchObject({ kind: 'bad-file' });
      await expect(decodeImage(path, { shrinkTo: { width: 20, height: 20 } })).rejects.toMatchObject({
        kind: 'bad-file',
      });
    }
  });

  it('tells corrupt from truncated', async () => {
    const file = await noisy().png().toBuffer();
    file.fill(0x55, file.length / 2, file.length / 2 + 2000);
    expect(await probeImage(file)).toMatchObject({ reason: 'unreadable' });
  });

  it('refuses a pixel bomb by its header, and by the limit it is given', async () => {
    const bomb = pixelBomb(30_000);
    expect(bomb.length).toBeLessThan(200);
    const before = process.memoryUsage().rss;
    expect(await probeImage(bomb)).toMatchObject({ reason: 'too-large', width: 30_000, height: 30_000 });
    await expect(decodeImage(bomb)).rejects.toMatchObject({
      kind: 'bad-file',
      why: expect.stringMatching(/above the limit/),
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
    const file = await picture().png().toBuffer();
    expect(await probeImage(file, { maxPixels: W * H })).toMatchObject({ width: W });
    expect(await probeImage(file, { maxPixels: W * H - 1 })).toMatchObject({ reason: 'too-large' });
  });

  it('refuses tiny, empty and foreign files, each with its reason', async () => {
    const tiny = await picture().resize(8, 8).png().toBuffer();
    expect(await probeImage(tiny)).toMatchObject({ reason: 'too-small', width: 8, height: 8 });
    expect(await probeImage(tiny, { minSide: 8 })).toMatchObject({ width: 8, format: 'png' });
    expect(await probeImage(Buffer.alloc(0))).toMatchObject({ reason: 'empty' });
    expect(await probeImage(Buffer.from('just text, no image'))).toMatchObject({ reason: 'unreadable' });
    expect(await probeImage(Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1'))).toMatchObject({
      reason: 'unsupported',
    });
  });

  it('looks at the first bytes of a large file before it reads and hashes it', async () => {
    const path = join(folder, 'large.jpg');
    writeFileSync(path, '');
    truncateSync(path, 6 * 2 ** 30); // sparse
    expect(await probeFile(path, {})).toMatchObject({ hash: '', reason: 'unreadable', format: '' });
    const head = await picture().png().toBuffer();
    writeFileSync(path, head);
    truncateSync(path, 3 * 2 ** 30);
    expect(await probeFile(path, {})).toMatchObject({
      hash: '',
      reason: 'too-large',
      detail: expect.stringContaining('3.0 GiB'),
    });
    rmSync(path);
  });

  it('hashes what it probes', async () => {
    const path = join(folder, 'abc.png');
    writeFileSync(path, 'abc');
    // SHA-256 of "abc", FIPS 180-2, appendix B.1.
    const hash = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    expect(await probeFile(path, {})).toMatchObject({ hash, reason: 'unreadable' });
    expect(await probeFile(join(folder, 'absent'), {})).toMatchObject({ hash: '', reason: 'unreadable' });
  });
});
