import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import sharp, { type Metadata, type Sharp, type SharpOptions } from 'sharp';
import { AppError } from '../../shared/errors.ts';
import { onDisk } from '../files/on-disk.ts';
import { faultOf, firstLine } from './decode-fault.ts';
import { decodeBmp, isBmp, readBmpHeader } from './formats-bmp.ts';
import { decodeNetpbm, isNetpbm, readNetpbmHeader } from './formats-netpbm.ts';
import { ImageFault } from './image-fault.ts';
import { plainJpeg } from './jpeg-header.ts';
import { decodePlainJpeg, isJpegHere } from './jpeg-turbo.ts';
import { memoryFor } from './memory.ts';
import type { ImageFormat, Pixels } from './pixels.ts';
import type { Scratch } from './scratch.ts';
import { fromBands, fromYcbcr, planTiff, type TiffPlan } from './tiff.ts';

export { firstLine } from './decode-fault.ts';

/** Width times height above which an image is refused: twice Pillow's `Image.MAX_IMAGE_PIXELS`, where Pillow raises. */
export const DEFAULT_MAX_PIXELS = 178_956_970;

export interface DecodeOptions {
  /** Scale down, keeping the aspect, until the image just covers this many pixels; never up. After rotation. */
  shrinkTo?: { width: number; height: number };
  /** Largest width times height; default `DEFAULT_MAX_PIXELS`. */
  maxPixels?: number;
}

/** `error` refuses truncated and corrupt files; `warning` would also refuse sound ones with an odd colour profile. */
export const strictInput = (maxPixels: number): SharpOptions => ({
  failOn: 'error',
  limitInputPixels: maxPixels,
  // Which bands are colours is looked at where they are read.
  limitInputChannels: 0,
  sequentialRead: true,
});

/** Brands of an ISO base media file that holds HEVC pictures. */
const HEIF = /^(hei[cxms]|hev[cxms]|mi[fa][12]|msf1)/;

/**
 * The format that the first bytes (32 are enough) tell, whatever the file is called; null for anything else, which is
 * never handed to the decoder (it would also read SVG, PDF and more).
 */
export function sniffFormat(head: Buffer): ImageFormat | 'heif' | null {
  const ascii = head.toString('latin1', 0, 32);
  if (head[0] === 0xff && head[1] === 0xd8 && head[2] === 0xff) return 'jpeg';
  if (ascii.startsWith('\x89PNG\r\n\x1a\n')) return 'png';
  if (ascii.startsWith('GIF8')) return 'gif';
  if (ascii.startsWith('RIFF') && ascii.slice(8, 12) === 'WEBP') return 'webp';
  if (/^(II[*+]\0|MM\0[*+])/.test(ascii)) return 'tiff';
  if (ascii.slice(4, 8) === 'ftyp') {
    if (/avi[fs]/.test(ascii.slice(8))) return 'avif';
    return HEIF.test(ascii.slice(8)) ? 'heif' : null;
  }
  if (isBmp(head)) return 'bmp';
  if (isNetpbm(head)) return 'netpbm';
  return null;
}

/** What a file that is not read as an image contains instead, where its first bytes tell. */
export function contentKind(head: Buffer): string | null {
  const ascii = head.toString('latin1', 0, 160);
  if (ascii.slice(128, 132) === 'DICM') return 'DICOM';
  if (ascii.slice(4, 8) === 'ftyp') return sniffFormat(head) === 'heif' ? 'HEIC' : 'a video or audio file';
  const text = ascii.trimStart().toLowerCase();
  if (/^<(!doctype html|html|head|body)/.test(text)) return 'HTML';
  if (/^(<\?xml[^>]*>\s*)?<svg/.test(text)) return 'SVG';
  return SIGNS.find(([sign]) => ascii.startsWith(sign))?.[1] ?? null;
}

const SIGNS = [
  ['%PDF', 'PDF'],
  ['PK\x03\x04', 'a zip archive'],
  ['\x1f\x8b', 'gzip'],
  ['\xff\x0a', 'JPEG XL'],
  ['\0\0\0\x0cJXL ', 'JPEG XL'],
  ['\0\0\0\x0cjP', 'JPEG 2000'],
  ['\xff\x4f\xff\x51', 'JPEG 2000'],
  ['8BPS', 'Photoshop'],
  ['\x93NUMPY', 'a NumPy array'],
  ['\x89HDF', 'HDF5'],
  ['\x76\x2f\x31\x01', 'OpenEXR'],
] as const;

/**
 * The bytes of a file. Throws `ImageFault` for what is no file (a pipe is never waited for) or has more than 2 GiB, and
 * what the operating system says.
 * @param path as the store keeps it
 */
export async function readImageFile(path: string): Promise<Buffer> {
  const file = await open(onDisk(path), constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const now = await file.stat();
    if (!now.isFile()) throw new ImageFault('unreadable', 'it is no file');
    requireReadable(now.size);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** Files are read as one piece, which has at most 2 GiB. */
export function requireReadable(bytes: number): void {
  if (bytes < 2 ** 31) return;
  throw new ImageFault('too-large', `the file has ${(bytes / 2 ** 30).toFixed(1)} GiB; files below 2 GiB are read`);
}

/**
 * An image file, or its bytes, as 8-bit sRGB: JPEG, PNG, WebP, AVIF, TIFF, GIF, BMP, PBM, PGM or PPM.
 *
 * EXIF rotation is applied; CMYK and embedded colour profiles are converted to sRGB; alpha is flattened over white;
 * 16 bits are scaled to 8 (the high byte, not clipped); grey and palettes are expanded; of several frames or pages the
 * first is taken; bands of a TIFF that are neither colour nor alpha are left out. Throws `AppError('bad-file')` for a
 * file that cannot be read, is cut short, or is above `maxPixels`.
 */
export async function decodeImage(source: string | Buffer, options: DecodeOptions = {}): Promise<Pixels> {
  const name = typeof source === 'string' ? source : 'The image';
  try {
    const bytes = typeof source === 'string' ? await readImageFile(source) : source;
    const { shrinkTo, maxPixels = DEFAULT_MAX_PIXELS } = options;
    const { image } = await openBytes(bytes, maxPixels);
    return await image(shrinkTo);
  } catch (error) {
    throw undecodable(name, error);
  }
}

/**
 * `decodeImage` of a file in two parts, for worker threads: reads the file, and starts decoding it in another thread. Where
 * decoding in this thread is quicker, it waits for the call of the function that is returned, which then blocks.
 * @returns a function that gives the image, in `room` where one is given and its memory could be used
 */
export async function openImage(path: string): Promise<(room?: Scratch) => Promise<Pixels>> {
  try {
    const decode = await openWhole(await readImageFile(path));
    return (room) =>
      decode(room).catch((error) => {
        throw undecodable(path, error);
      });
  } catch (error) {
    throw undecodable(path, error);
  }
}

/** `openImage` of bytes. Throws `ImageFault`, at once or when the image is asked for. */
export async function openWhole(bytes: Buffer): Promise<(room?: Scratch) => Promise<Pixels>> {
  const other = async () => (await openBytes(bytes, DEFAULT_MAX_PIXELS)).image();
  if (!isJpegHere(bytes)) {
    const image = await other();
    return async () => image;
  }
  return async (room) => {
    const { width, height } = plainJpeg(bytes)!;
    const give = await memoryFor(width * height * PIXEL_BYTES.jpeg);
    let image: Pixels | null;
    try {
      image = decodePlainJpeg(bytes, DEFAULT_MAX_PIXELS, room);
    } finally {
      give();
    }
    return image ?? (await other());
  };
}

const undecodable = (name: string, error: unknown) =>
  new AppError(
    'bad-file',
    `${name} cannot be decoded.`,
    firstLine(error),
    'Replace or remove the file, then import the folder again.',
    { cause: error },
  );

/** What a header says, and the image itself when it is asked for. */
export interface OpenedImage {
  format: ImageFormat;
  /** After EXIF rotation, pixels. */
  width: number;
  height: number;
  /** Bytes of a sample as it is stored. */
  depth: number;
  /** What of the file is not in the image, for a person. */
  notes: string[];
  /** @throws ImageFault */
  image(shrinkTo?: DecodeOptions['shrinkTo']): Promise<Pixels>;
}

/** Reads the header of an image. Throws `ImageFault`. */
export async function openBytes(bytes: Buffer, maxPixels: number): Promise<OpenedImage> {
  const format = requireFormat(bytes);
  try {
    if (format === 'bmp') return ours(format, bytes, maxPixels, readBmpHeader(bytes), decodeBmp);
    if (format === 'netpbm') {
      const header = readNetpbmHeader(bytes);
      const opened = ours(format, bytes, maxPixels, header, decodeNetpbm);
      return { ...opened, depth: header.most > 255 ? 2 : 1 };
    }
    const tiff = format === 'tiff' ? planTiff(bytes) : null;
    const meta = await sharp(tiff?.bytes ?? bytes, {
      failOn: 'error',
      limitInputPixels: false,
      limitInputChannels: 0,
      ...(tiff && { page: tiff.page }),
    }).metadata();
    const { width, height } = meta.autoOrient;
    const frames = !tiff && (meta.pages ?? 1) > 1 ? [`the first of ${meta.pages} frames is read`] : [];
    const need = memoryOf(format, width * height, meta, tiff);
    const ignoreIcc = isOfOtherColours(meta);
    return {
      format,
      width,
      height,
      depth: meta.depth === 'ushort' ? 2 : 1,
      notes: tiff?.notes ?? frames,
      async image(shrinkTo) {
        requirePixels(width, height, maxPixels);
        const give = await memoryFor(need);
        try {
          return await rendered(bytes, tiff, { ...strictInput(maxPixels), ignoreIcc }, shrinkTo);
        } catch (error) {
          throw faultOf(error, format, bytes);
        } finally {
          give();
        }
      },
    };
  } catch (error) {
    throw faultOf(error, format, bytes);
  }
}

/** A format that is read by this program itself. */
function ours(
  format: ImageFormat,
  bytes: Buffer,
  maxPixels: number,
  { width, height }: { width: number; height: number },
  decode: (bytes: Buffer, maxPixels: number) => Pixels,
): OpenedImage {
  return {
    format,
    width,
    height,
    depth: 1,
    notes: [],
    async image(shrinkTo) {
      requirePixels(width, height, maxPixels);
      const give = await memoryFor(width * height * PIXEL_BYTES.ours);
      try {
        const image = decode(bytes, maxPixels);
        return await (shrinkTo ? shrunk(image, shrinkTo) : image);
      } finally {
        give();
      }
    },
  };
}

export function requirePixels(width: number, height: number, maxPixels: number): void {
  if (width * height <= maxPixels) return;
  throw new ImageFault('too-large', `${width}x${height} pixels, above the limit of ${maxPixels}`);
}

/** The pixels of a file that libvips reads. */
async function rendered(
  bytes: Buffer,
  tiff: TiffPlan | null,
  input: SharpOptions,
  shrinkTo: DecodeOptions['shrinkTo'],
): Promise<Pixels> {
  if (tiff && tiff.read.as !== 'as-is') {
    const image = await oddTiff(tiff, input);
    return shrinkTo ? shrunk(image, shrinkTo) : image;
  }
  const page = tiff ? { page: tiff.page } : {};
  let image = sharp(bytes, { ...input, ...page })
    .autoOrient()
    .flatten({ background: '#ffffff' });
  if (shrinkTo) image = image.resize(shrinkTo.width, shrinkTo.height, { fit: 'outside', withoutEnlargement: true });
  return pixelsOf(image, 3);
}

/** Colour spaces with three channels that are not RGB, as an ICC profile names them. */
const OTHER_TRIPLES = new Set(['Lab ', 'XYZ ', 'Luv ', 'YCbr', 'Yxy ', 'HSV ', 'HLS ', 'CMY ', '3CLR']);

/** Whether a profile is for another space than the image's RGB. libvips would apply it, as it only counts the bands. */
const isOfOtherColours = ({ icc, space }: Metadata) =>
  icc !== undefined && space !== 'lab' && OTHER_TRIPLES.has(icc.toString('latin1', 16, 20));

/** A TIFF whose bands libvips misinterprets: all are read as they are, and converted to colours here. */
async function oddTiff({ bytes, page, read, samples }: TiffPlan, input: SharpOptions): Promise<Pixels> {
  const isYcbcr = read.as === 'ycbcr';
  const image = sharp(bytes, { ...input, page, ...(isYcbcr && { ignoreIcc: true }) }).autoOrient();
  const { data, width, height, bands } = await allBands(image);
  if (isYcbcr) {
    if (bands !== 3) throw new ImageFault('unsupported', `it has ${samples} bands that are read as ${bands}`);
    fromYcbcr(data);
    return { data, width, height };
  }
  return { data: fromBands(data, bands, read.as === 'bands' ? read.alpha : null), width, height };
}

const allBands = async (image: Sharp) => {
  const { data, info } = await image
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, bands: info.channels as number };
};

async function pixelsOf(image: Sharp, bands: 3): Promise<Pixels> {
  const { data, width, height, bands: found } = await allBands(image);
  if (found !== bands) throw new ImageFault('unsupported', `decoded to ${found} channels`);
  return { data, width, height };
}

const shrunk = ({ data, width, height }: Pixels, to: NonNullable<DecodeOptions['shrinkTo']>) =>
  pixelsOf(
    sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false }).resize(to.width, to.height, {
      fit: 'outside',
      withoutEnlargement: true,
    }),
    3,
  );

/**
 * Memory that decoding takes, bytes a pixel, the image itself included: measured as the growth of the process at 64
 * million pixels, rounded up (AVIF 18.3, progressive JPEG 9.3, WebP 8.2, GIF 7.3).
 */
const PIXEL_BYTES = { avif: 20, jpeg: 10, webp: 9, gif: 8, ours: 5 };

function memoryOf(format: ImageFormat, pixels: number, meta: Metadata, tiff: TiffPlan | null): number {
  if (format === 'avif' || format === 'jpeg' || format === 'webp' || format === 'gif')
    return pixels * PIXEL_BYTES[format];
  const stored = (tiff?.samples ?? meta.channels ?? 4) * (meta.depth === 'ushort' ? 2 : 1);
  // A strip of a TIFF may be all of it; an interlaced PNG is held as it is stored (9.1 and 7.1 bytes, measured).
  if (tiff) return pixels * (stored + 4 + (tiff.read.as === 'as-is' ? 0 : tiff.samples + 4));
  return pixels * (meta.isProgressive ? stored + 4 : 4);
}

/** The format. Throws `ImageFault` for content of any that is not read. */
export function requireFormat(head: Buffer): ImageFormat {
  const format = sniffFormat(head);
  if (format === 'heif') throw new ImageFault('unsupported', 'HEIC images cannot be read; convert it to JPEG or AVIF');
  if (format === null) {
    const kind = contentKind(head);
    throw new ImageFault(
      'unreadable',
      `its content is ${kind ? `${kind}, ` : ''}none of JPEG, PNG, WebP, AVIF, TIFF, GIF, BMP and PPM`,
    );
  }
  return format;
}
