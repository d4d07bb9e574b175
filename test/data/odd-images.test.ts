import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { centreImage } from '../../electron/data/centre.ts';
import { decodeImage, openImage } from '../../electron/data/decode.ts';
import { DecoderPool } from '../../electron/data/decoder-pool.ts';
import type { Pixels } from '../../electron/data/pixels.ts';
import { prepareFiles } from '../../electron/data/prepare-pool.ts';
import { type ProbeResult, probeFile } from '../../electron/data/probe.ts';
import { probeFiles } from '../../electron/data/probe-pool.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { type MadePage, tiffOf } from './tiff-maker.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const folder = mkdtempSync(join(tmpdir(), 'conmim-odd-'));
afterAll(() => rmSync(folder, { recursive: true }));

const W = 33; // odd: what mixes up planes shows
const H = 21;
const LEVELS = [40, 120, 200, 10, 230, 80, 160, 30, 90, 220, 60, 140, 180];
/** Bands of different levels, each with a mark, so that neither a band nor a place can be mistaken. */
const level = (band: number, x: number, y: number) => LEVELS[band]! + (x === band && y === 2 ? 5 : 0);
const page = (bands: number, rest: Partial<MadePage> = {}): MadePage => ({
  width: W,
  height: H,
  bands,
  value: (b, x, y) => level(b, x, y) * (rest.bits === 16 ? 257 : 1),
  ...rest,
});
const unspecified = (n: number) => Array.from({ length: n }, () => 0);

/** RGB at a pixel, or 'refused' with a word of why. */
type Want = ((x: number, y: number) => number[]) | RegExp;
const bandsOf =
  (...bands: number[]): Want =>
  (x, y) =>
    bands.map((b) => level(b, x, y));
const overWhite =
  (alpha: number, ...bands: number[]): Want =>
  (x, y) =>
    bands.map((b) => 255 + ((level(b, x, y) - 255) * level(alpha, x, y)) / 255);

const greyRamp =
  (bits: number): Want =>
  (x) =>
    Array(3).fill(bits === 16 ? 100 : 100 + x);

const cases: { name: string; file: () => Buffer | Promise<Buffer>; want: Want; note?: RegExp }[] = [];
const add = (name: string, file: () => Buffer | Promise<Buffer>, want: Want, note?: RegExp) =>
  cases.push({ name, file, want, ...(note && { note }) });

for (const bits of [8, 16] as const)
  for (const separate of [false, true])
    for (const little of [true, false]) {
      const kind = `${bits} bits${separate ? ', planes' : ''}${little ? '' : ', big-endian'}`;
      const make = (bands: number, rest: Partial<MadePage>) => () =>
        tiffOf([page(bands, { bits, separate, ...rest })], { little });
      add(
        `grey, ${kind}`,
        make(1, { photometric: 1, value: (_, x) => 100 * (bits === 16 ? 257 : 1) + x }),
        greyRamp(bits),
      );
      add(`RGB, ${kind}`, make(3, { photometric: 2 }), bandsOf(0, 1, 2));
      add(
        `RGB and a band that is not named, ${kind}`,
        make(4, { photometric: 2 }),
        bandsOf(0, 1, 2),
        /4 bands.*no alpha/,
      );
      add(`RGB and infrared, ${kind}`, make(4, { photometric: 2, extra: [0] }), bandsOf(0, 1, 2), /4 bands.*no alpha/);
      add(`RGB and alpha, ${kind}`, make(4, { photometric: 2, extra: [2] }), overWhite(3, 0, 1, 2));
      add(
        `RGB, alpha and one more, ${kind}`,
        make(5, { photometric: 2, extra: [2, 0] }),
        overWhite(3, 0, 1, 2),
        /one is alpha.*left out/,
      );
      add(
        `RGB, one more and alpha, ${kind}`,
        make(5, { photometric: 2, extra: [0, 2] }),
        overWhite(4, 0, 1, 2),
        /one is alpha.*left out/,
      );
      const two = separate ? /planes/ : bandsOf(0, 0, 0);
      add(`grey and a band, ${kind}`, make(2, { photometric: 1, extra: [0] }), two, /2 bands/);
      if (!separate) add(`grey and alpha, ${kind}`, make(2, { photometric: 1, extra: [2] }), overWhite(1, 0, 0, 0));
      for (const bands of [3, 4, 5, 8, 13])
        add(
          `${bands} bands without a colour, ${kind}`,
          make(bands, { photometric: 1, extra: unspecified(bands - 1) }),
          bandsOf(0, 1, 2),
          new RegExp(`^${bands} bands: the first three`),
        );
      add(`white is least, ${kind}`, make(1, { photometric: 0 }), (x, y) => Array(3).fill(255 - level(0, x, y)));
      add(`white is least, 5 bands, ${kind}`, make(5, { photometric: 0, extra: unspecified(4) }), /5 bands/);
    }

// ITU-R BT.601, as TIFF 6.0 says: R = Y + 1.402 (Cr - 128), and so on.
const rgbOfYcc = ([y, cb, cr]: number[]) => [
  y! + 1.402 * (cr! - 128),
  y! - 0.344136 * (cb! - 128) - 0.714136 * (cr! - 128),
  y! + 1.772 * (cb! - 128),
];
const YCC = [120, 110, 140];
const ycc = (rest: Partial<MadePage>) => tiffOf([page(3, { photometric: 6, value: (b) => YCC[b]!, ...rest })]);
add(
  'YCbCr',
  () => ycc({ tags: [[530, [1, 1]]] }),
  () => rgbOfYcc(YCC),
);
add('YCbCr, halved', () => ycc({ tags: [[530, [2, 2]]] }), /YCbCr/);
add('YCbCr, not said', () => ycc({}), /YCbCr/);

const samples = (bits: 8 | 16 | 32 | 64, format: number, words: RegExp) =>
  add(`${words.source}`, () => tiffOf([page(1, { bits, format, photometric: 1, value: (_, x) => x })]), words);
samples(8, 2, /8-bit signed integers/);
samples(16, 2, /16-bit signed integers/);
samples(32, 1, /32-bit unsigned integers/);
samples(32, 3, /32-bit floating-point numbers/);
samples(64, 3, /64-bit floating-point numbers/);
add('CIE Lab', () => tiffOf([page(3, { photometric: 8 })]), /CIE Lab/);
add('a mosaic', () => tiffOf([page(1, { photometric: 32803 })]), /mosaic/);
for (const [code, name] of [
  [50000, 'ZSTD'],
  [34925, 'LZMA'],
  [34887, 'LERC'],
  [34712, 'JPEG 2000'],
] as const)
  add(
    name,
    () => {
      const file = tiffOf([page(3)]);
      // The entry of tag 259, type SHORT, one value: 1.
      const at = file.indexOf(Buffer.from([3, 1, 3, 0, 1, 0, 0, 0, 1, 0]));
      file.writeUInt16LE(code, at + 8);
      return file;
    },
    new RegExp(`compressed with ${name}`),
  );

add(
  'stack',
  () => tiffOf([page(1), page(1, { value: () => 250 }), page(1)]),
  bandsOf(0, 0, 0),
  /^the first of 3 pages is read$/,
);
const thumbnail = page(3, { width: 17, height: 16, subfile: 1, value: () => 9 });
add('reduced copy first', () => tiffOf([thumbnail, page(3, { subfile: 0 })]), bandsOf(0, 1, 2));
add('pyramid', () => tiffOf([page(3), thumbnail]), bandsOf(0, 1, 2));
add(
  'reduced copy first, turned',
  () => tiffOf([{ ...thumbnail, orientation: 1 }, page(4, { extra: [0], subfile: 0, orientation: 3 })]),
  (x, y) => [0, 1, 2].map((b) => level(b, W - 1 - x, H - 1 - y)),
  /^4 bands/,
);

// CMYK has no one true RGB: what every reader must agree on is all that is asked of it, beside that it is not another.
const CMYK = [20, 90, 160, 40];
const cmyk = (bands: number, extra: number[]) =>
  tiffOf([page(bands, { photometric: 5, ...(extra.length && { extra }), value: (b) => (b < 4 ? CMYK[b]! : 255) })]);
let plainCmyk: Pixels;
beforeAll(async () => {
  plainCmyk = await decodeImage(cmyk(4, []));
});
const likeCmyk: Want = () => [...plainCmyk.data.subarray(0, 3)];
add('CMYK', () => cmyk(4, []), likeCmyk);
add('CMYK and alpha', () => cmyk(5, [2]), likeCmyk);
add('CMYK and spots', () => cmyk(6, [0, 0]), likeCmyk, /6 bands: 4 are its colours; 2 are left out/);

const ramp = Buffer.from(Array.from({ length: W * H * 3 }, (_, i) => (i * 7) % 256));
const rampAt: Want = (x, y) => [0, 1, 2].map((c) => ramp[3 * (y * W + x) + c]!);
const netpbm = (head: string, body: Buffer | string) => Buffer.concat([Buffer.from(head), Buffer.from(body)]);
const numbers = (values: Iterable<number>) => [...values].join(' ');
const grey = ramp.subarray(0, W * H);
const greyAt: Want = (x, y) => Array(3).fill(grey[y * W + x]);
add('PPM', () => netpbm(`P6\n# a comment\n${W} ${H}\n255\n`, ramp), rampAt);
add('PPM in decimal', () => netpbm(`P3 ${W} ${H} 255\n`, numbers(ramp)), rampAt);
add('PGM', () => netpbm(`P5 ${W} ${H} 255\n`, grey), greyAt);
add('PGM in decimal', () => netpbm(`P2 ${W} ${H} 255\n`, numbers(grey)), greyAt);
add('PGM of 16 bits', () => netpbm(`P5 ${W} ${H} 65535\n`, Buffer.from([...grey].flatMap((v) => [v, v]))), greyAt);
add(
  'PGM of 10 bits',
  () => netpbm(`P5 ${W} ${H} 1023\n`, Buffer.from([...grey].flatMap((v) => [(v * 4) >> 8, (v * 4) & 255]))),
  (x, y) => Array(3).fill(Math.round((grey[y * W + x]! * 4 * 255) / 1023)),
);
const bit = (x: number, y: number) => (x * y + x) % 3 === 0;
const bitAt: Want = (x, y) => Array(3).fill(bit(x, y) ? 0 : 255);
add(
  'PBM',
  () => {
    const stride = Math.ceil(W / 8);
    const body = Buffer.alloc(stride * H);
    for (let y = 0; y < H; y++)
      for (let x = 0; x < W; x++) if (bit(x, y)) body[y * stride + (x >> 3)]! |= 0x80 >> (x & 7);
    return netpbm(`P4 ${W} ${H}\n`, body);
  },
  bitAt,
);
add(
  'PBM in decimal',
  () =>
    netpbm(`P1 ${W} ${H}\n`, Array.from({ length: W * H }, (_, i) => (bit(i % W, Math.floor(i / W)) ? 1 : 0)).join('')),
  bitAt,
);
add('PPM, cut', () => netpbm(`P6 ${W} ${H} 255\n`, ramp.subarray(0, -1)), /ends before/);
add('PGM in decimal, cut', () => netpbm(`P2 ${W} ${H} 255\n`, numbers(grey.subarray(0, -9))), /ends before/);
add('PGM with letters', () => netpbm(`P2 ${W} ${H} 255\n`, 'spam '.repeat(W * H)), /number/);
add('PPM that says it is vast', () => netpbm('P6 99999 99999 255\n', ramp), /above the limit/);
add('PPM of a header', () => netpbm('P6 9', ''), /ends before/);
add('PAM', () => netpbm(`P7\nWIDTH ${W}\n`, ramp), /PAM/);
add('PFM', () => netpbm(`PF\n${W} ${H}\n-1.0\n`, ramp), /floating/);

const picture = () => sharp(ramp, { raw: { width: W, height: H, channels: 3 } });
add('PNG', () => picture().png().toBuffer(), rampAt);
add(
  'PNG of a palette',
  () => picture().toColourspace('b-w').png({ palette: true }).toBuffer(),
  () => [],
);
add('PNG of 16 bits', () => picture().toColourspace('rgb16').png().toBuffer(), rampAt);
add(
  'PNG of 12 bits in 16',
  async () => {
    const dark = Uint16Array.from(grey, (v) => v * 16);
    const raw = { width: W, height: H, channels: 1 } as const;
    return sharp(dark, { raw }).toColourspace('grey16').png().toBuffer();
  },
  (x, y) => Array(3).fill(grey[y * W + x]! >> 4),
  /16-bit samples, none above 4095 of 65535: 16 of 256 levels/,
);
add('WebP', () => picture().webp({ lossless: true }).toBuffer(), rampAt);
// A profile of as many numbers as RGB has, and of others than RGB, says nothing of the colours.
for (const kind of ['Lab ', 'XYZ ', 'YCbr'])
  add(
    `a profile of ${kind}`,
    async () => {
      const file = await picture().withIccProfile('srgb').tiff({ compression: 'none' }).toBuffer();
      const profile = file.indexOf('acsp') - 36;
      file.write(kind, profile + 16, 'latin1');
      return file;
    },
    rampAt,
  );
add('a video', () => Buffer.from('\0\0\0\x18ftypisom\0\0\0\0isomiso2avc1mp41', 'latin1'), /video/);
add('a web page', () => Buffer.from('<!DOCTYPE html><title>404</title>'), /HTML/);

const files: { name: string; path: string; probe: ProbeResult }[] = [];
beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  for (const [i, { file }] of cases.entries()) writeFileSync(join(folder, `${i}`), await file());
  const found = new Map<string, ProbeResult>();
  const asked = cases.map((_, i) => ({ absolute: join(folder, `${i}`) }));
  for await (const batch of probeFiles(asked, { processes: 2 }))
    for (const { file, result } of batch) found.set(file.absolute, result);
  for (const [i, { name }] of cases.entries()) {
    const path = join(folder, `${i}`);
    files.push({ name, path, probe: found.get(path)! });
  }
});

const size = 16;
const config = runConfigSchema.parse({ model: { image_size: 32, patch_size: 16 } });

describe('an odd image is either read by everything, with the same pixels, or refused by everything, in words', () => {
  it.each(cases.map(({ name }, i) => [name, i] as const))('%s', async (_, i) => {
    const { want, note } = cases[i]!;
    const { path, probe } = files[i]!;
    const settled = <T>(act: () => Promise<T>) => act().catch(() => null);
    const whole = await settled(() => decodeImage(path));
    const opened = await settled(async () => (await openImage(path))());
    const small = await settled(() => decodeImage(path, { shrinkTo: { width: size, height: size } }));
    const centre = await settled(() => centreImage(path, 32, config.augment));
    const readers = { whole, opened, small, centre };
    if (want instanceof RegExp) {
      expect(probe.detail).toMatch(want);
      expect(probe.reason).not.toBeNull();
      for (const [name, read] of Object.entries(readers)) expect(read, name).toBeNull();
      return;
    }
    expect(probe).toMatchObject({ reason: null, detail: null, width: W, height: H });
    if (note) expect(probe.note).toMatch(note);
    else expect(probe.note).toBeNull();
    for (const [name, read] of Object.entries(readers)) expect(read, name).not.toBeNull();
    expect([whole!.width, whole!.height]).toEqual([W, H]);
    expect(Buffer.compare(whole!.data, opened!.data)).toBe(0);
    for (let y = 0; y < H; y++)
      for (let x = 0; x < W; x++) {
        const seen = whole!.data.subarray(3 * (y * W + x), 3 * (y * W + x) + 3);
        for (const [c, value] of want(x, y).entries())
          expect(Math.abs(seen[c]! - value), `${x},${y}: ${seen} for ${want(x, y)}`).toBeLessThanOrEqual(1);
      }
    // What is seen small is what is seen whole.
    const mean = ({ data }: Pixels) => data.reduce((sum, v) => sum + v, 0) / data.length;
    expect(Math.abs(mean(small!) - mean(whole!))).toBeLessThan(6);
  });

  it('in preparing, and as thumbnails', async () => {
    const asked = files.map(({ path, probe }) => ({ path, bytes: 0, mtime: 0, probe }));
    const { statSync } = await import('node:fs');
    for (const file of asked) {
      const { size: bytes, mtimeMs } = statSync(file.path);
      Object.assign(file, { bytes, mtime: Math.trunc(mtimeMs) });
    }
    const names = new Map(files.map(({ name, path }) => [path, name]));
    for await (const batch of prepareFiles(asked, { size: 16 }))
      for (const { file, result } of batch)
        expect('data' in result, names.get(file.path)).toBe(file.probe.reason === null);
    const pool = new DecoderPool(2);
    const pictures = asked.map(({ path }) =>
      pool.run({ kind: 'picture', path, shrinkTo: { width: 16, height: 16 }, side: 16 }).catch(() => null),
    );
    for (const [i, made] of (await Promise.all(pictures)).entries())
      expect(made !== null, files[i]!.name).toBe(files[i]!.probe.reason === null);
    pool.close();
  });

  it('alike in this process and in one of its own', async () => {
    for (const { path, probe, name } of files) {
      const here = await probeFile(path, {});
      expect({ ...here, detail: null }, name).toEqual({ ...probe, detail: null });
    }
  });
});
