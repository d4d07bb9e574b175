import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp, { type JpegOptions } from 'sharp';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { DEFAULT_MAX_PIXELS, decodeImage, openImage } from '../../electron/data/decode.ts';
import { usePlainImaging } from '../../electron/data/imaging.ts';
import { plainJpeg } from '../../electron/data/jpeg-header.ts';
import { decodePlainJpeg, isJpegHere } from '../../electron/data/jpeg-turbo.ts';
import { stream } from '../../electron/data/random.ts';
import { Scratch } from '../../electron/data/scratch.ts';

vi.setConfig({ testTimeout: 120_000 });
usePlainImaging(false);
const folder = mkdtempSync(join(tmpdir(), 'conmim-jpeg-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
  usePlainImaging(process.env.CONMIM_IMAGING === 'plain');
});

const random = stream(3, 0, 0, 'jpeg');
/** Smooth forms and noise: what neighbours give at edges shows. */
function picture(width: number, height: number) {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [x, y, c] = [Math.trunc(i / 3) % width, Math.trunc(i / 3 / width), i % 3];
    return 128 + 60 * Math.sin(x / (3 + c)) + 40 * Math.cos(y / (5 - c)) + random.int(28);
  });
  return sharp(data, { raw: { width, height, channels: 3 } });
}
const SIZES = [
  [1, 1],
  [1, 40],
  [7, 9],
  [16, 16],
  [33, 17],
  [200, 150],
  [129, 255],
] as const;
const CODINGS: JpegOptions[] = [
  { quality: 90 },
  { quality: 50, chromaSubsampling: '4:4:4' },
  { quality: 100, chromaSubsampling: '4:4:4' },
  { quality: 5 },
  { quality: 85, progressive: true },
  { quality: 85, mozjpeg: true },
];
const whole = await picture(60, 44).jpeg().toBuffer();
const hasLibrary = isJpegHere(whole);
const why = `skipped: no libjpeg-turbo for ${process.platform}-${process.arch}`;

/** How a file ends up: its pixels, or what is said of it. */
async function outcome(path: string, plain: boolean): Promise<unknown> {
  usePlainImaging(plain);
  try {
    const { data, width, height } = await (await openImage(path))();
    return { width, height, data: Buffer.from(data).toString('base64') };
  } catch (error) {
    const { kind, message, why, next } = error as Record<string, string>;
    return { kind, message, why, next };
  } finally {
    usePlainImaging(false);
  }
}
let files = 0;
async function expectSame(bytes: Buffer, what: string) {
  const path = join(folder, `${files++}.jpg`);
  writeFileSync(path, bytes);
  expect(await outcome(path, false), what).toEqual(await outcome(path, true));
  rmSync(path);
}

describe.skipIf(!hasLibrary)(`libjpeg-turbo gives the bytes of sharp${hasLibrary ? '' : ` (${why})`}`, () => {
  test.each(CODINGS.map((coding) => [JSON.stringify(coding), coding] as const))(
    '%s, colour and grey',
    async (_, coding) => {
      for (const [width, height] of SIZES) {
        for (const image of [picture(width, height), picture(width, height).toColourspace('b-w')]) {
          const file = await image.jpeg(coding).toBuffer();
          const got = decodePlainJpeg(file, DEFAULT_MAX_PIXELS);
          const want = await decodeImage(file);
          expect(got, `${width}x${height}`).not.toBeNull();
          expect([got!.width, got!.height]).toEqual([want.width, want.height]);
          expect(Buffer.compare(got!.data, want.data), `${width}x${height}`).toBe(0);
        }
      }
    },
  );

  test('a comment, and EXIF that says the picture is upright', async () => {
    const upright = await picture(50, 40)
      .jpeg()
      .withExif({ IFD0: { Copyright: 'nobody', Orientation: '1' } })
      .toBuffer();
    const comment = Buffer.concat([
      whole.subarray(0, 2),
      Buffer.from([0xff, 0xfe, 0, 6, 1, 2, 3, 4]),
      whole.subarray(2),
    ]);
    for (const file of [upright, comment]) {
      const got = decodePlainJpeg(file, DEFAULT_MAX_PIXELS);
      expect(Buffer.compare(got!.data, (await decodeImage(file)).data)).toBe(0);
    }
  });

  test('room is used again, and grows', async () => {
    const room = new Scratch();
    const large = await picture(90, 80).jpeg().toBuffer();
    for (const file of [whole, large, whole]) {
      const got = decodePlainJpeg(file, DEFAULT_MAX_PIXELS, room)!;
      expect(Buffer.compare(got.data, (await decodeImage(file)).data)).toBe(0);
    }
    const one = decodePlainJpeg(large, DEFAULT_MAX_PIXELS, room)!;
    expect(decodePlainJpeg(whole, DEFAULT_MAX_PIXELS, room)!.data.buffer).toBe(one.data.buffer);
  });
});

test('what needs more than that is left to sharp, with the same result', async () => {
  const others: Record<string, Buffer> = {
    'an ICC profile': await picture(40, 30).withIccProfile('p3').jpeg().toBuffer(),
    CMYK: await picture(40, 30).toColourspace('cmyk').jpeg().toBuffer(),
    PNG: await picture(40, 30).png().toBuffer(),
    nothing: Buffer.alloc(0),
    'two bytes': whole.subarray(0, 2),
  };
  for (let orientation = 2; orientation <= 8; orientation++)
    others[`orientation ${orientation}`] = await picture(40, 30).jpeg().withMetadata({ orientation }).toBuffer();
  for (const [what, bytes] of Object.entries(others)) {
    expect(plainJpeg(bytes), what).toBeNull();
    expect(decodePlainJpeg(bytes, DEFAULT_MAX_PIXELS), what).toBeNull();
    await expectSame(bytes, what);
  }
  expect(plainJpeg(whole)).toEqual({ width: 60, height: 44 });
  expect(decodePlainJpeg(whole, 60 * 44 - 1)).toBeNull();
  usePlainImaging(true);
  expect(decodePlainJpeg(whole, DEFAULT_MAX_PIXELS)).toBeNull();
  usePlainImaging(false);
  expect(await openImage(join(folder, 'absent.jpg')).catch((e) => e)).toMatchObject({
    kind: 'bad-file',
    cause: { code: 'ENOENT' },
  });
});

test('a file without its tables is not decoded by those of the file before', async () => {
  for (const marker of [0xdb, 0xc4]) {
    const bare = Buffer.from(whole);
    bare[bare.indexOf(Buffer.from([0xff, marker])) + 1] = 0xec; // a segment that is passed over
    if (hasLibrary) expect(decodePlainJpeg(whole, DEFAULT_MAX_PIXELS)).not.toBeNull();
    await expectSame(bare, marker.toString(16));
  }
});

test('cut short anywhere, the result or the error is that of sharp', async () => {
  const progressive = await picture(60, 44).jpeg({ progressive: true }).toBuffer();
  for (const file of [whole, progressive])
    for (let cut = 1; cut < file.length; cut += cut < 40 || cut > file.length - 20 ? 1 : 1 + (file.length >> 6))
      await expectSame(file.subarray(0, cut), `${cut} of ${file.length}`);
  await expectSame(Buffer.concat([whole, Buffer.from('and something after its end')]), 'something after its end');
});

test('with bytes changed, the result or the error is that of sharp', async () => {
  const progressive = await picture(60, 44).jpeg({ progressive: true }).toBuffer();
  const exif = await picture(60, 44).jpeg().withMetadata({ orientation: 6 }).toBuffer();
  let decodedHere = 0;
  for (let trial = 0; trial < 600; trial++) {
    const broken = Buffer.from([whole, progressive, exif][trial % 3]!);
    for (let n = 1 + random.int(3); n > 0; n--) broken[random.int(trial % 2 ? 700 : broken.length)] = random.int(256);
    await expectSame(broken, `trial ${trial}`);
    if (decodePlainJpeg(broken, DEFAULT_MAX_PIXELS)) decodedHere++;
  }
  if (hasLibrary) expect(decodedHere).toBeGreaterThan(100);
});
