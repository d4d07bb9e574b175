import { readFile } from 'node:fs/promises';
import sharp, { type Metadata, type Sharp, type SharpOptions } from 'sharp';
import { AppError } from '../../shared/errors.ts';
import { decodeBmp, isBmp, readBmpHeader } from './formats-bmp.ts';
import { ImageFault } from './image-fault.ts';
import { decodePlainJpeg, isJpegHere } from './jpeg-turbo.ts';
import type { Scratch } from './scratch.ts';

/** Width times height above which an image is refused: twice Pillow's `Image.MAX_IMAGE_PIXELS`, where Pillow raises. */
export const DEFAULT_MAX_PIXELS = 178_956_970;

export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'avif' | 'tiff' | 'gif' | 'bmp';

export interface DecodedImage {
  /** 8-bit sRGB, interleaved: `[height, width, 3]`. */
  data: Uint8Array;
  width: number;
  height: number;
}

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
  sequentialRead: true,
});

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
  if (ascii.slice(4, 8) === 'ftyp') return /avi[fs]/.test(ascii.slice(8)) ? 'avif' : 'heif';
  if (isBmp(head)) return 'bmp';
  return null;
}

/**
 * An image file, or its bytes, as 8-bit sRGB: JPEG, PNG, WebP, AVIF, TIFF, GIF or BMP.
 *
 * EXIF rotation is applied; CMYK and embedded colour profiles are converted to sRGB; alpha is flattened over white;
 * 16 bits are scaled to 8 (the high byte, not clipped); grey and palettes are expanded; of several frames or pages the
 * first is taken. Throws `AppError('bad-file')` for a file that cannot be read, is cut short, or is above `maxPixels`.
 */
export async function decodeImage(source: string | Buffer, options: DecodeOptions = {}): Promise<DecodedImage> {
  const name = typeof source === 'string' ? source : 'The image';
  try {
    return await decodeBytes(typeof source === 'string' ? await readFile(source) : source, options);
  } catch (error) {
    throw undecodable(name, error);
  }
}

/**
 * The same as `decodeImage` of a file, for threads that are there to decode: reads it, and begins to decode it in another
 * thread, or, where that is quicker, leaves that to the call of what it returns, which then keeps this thread busy.
 * @returns the image; in `room`, where one is given and its memory could be used
 */
export async function openImage(path: string): Promise<(room?: Scratch) => Promise<DecodedImage>> {
  try {
    const bytes = await readFile(path);
    if (isJpegHere(bytes))
      return async (room) => decodePlainJpeg(bytes, DEFAULT_MAX_PIXELS, room) ?? (await decodeImageOf(path, bytes));
    const image = await decodeBytes(bytes, {});
    return async () => image;
  } catch (error) {
    throw undecodable(path, error);
  }
}

const decodeImageOf = (path: string, bytes: Buffer) =>
  decodeBytes(bytes, {}).catch((error) => {
    throw undecodable(path, error);
  });

const undecodable = (name: string, error: unknown) =>
  new AppError(
    'bad-file',
    `${name} cannot be decoded.`,
    firstLine(error),
    'Replace or remove the file, then import the folder again.',
    { cause: error },
  );

async function decodeBytes(bytes: Buffer, options: DecodeOptions): Promise<DecodedImage> {
  const { shrinkTo, maxPixels = DEFAULT_MAX_PIXELS } = options;
  const format = requireFormat(bytes);
  let image: Sharp;
  if (format === 'bmp') {
    const { data, width, height } = decodeBmp(bytes, maxPixels);
    if (!shrinkTo) return { data, width, height };
    image = sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: maxPixels });
  } else {
    image = sharp(bytes, strictInput(maxPixels)).autoOrient().flatten({ background: '#ffffff' });
  }
  if (shrinkTo) image = image.resize(shrinkTo.width, shrinkTo.height, { fit: 'outside', withoutEnlargement: true });
  const { data, info } = await image
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  if (info.channels !== 3) throw new ImageFault('unsupported', `decoded to ${info.channels} channels`);
  return { data, width: info.width, height: info.height };
}

/** The format, or `ImageFault` for content that is none of those that are read. */
export function requireFormat(head: Buffer): ImageFormat {
  const format = sniffFormat(head);
  if (format === 'heif') throw new ImageFault('unsupported', 'HEIC images cannot be read; convert it to JPEG or AVIF');
  if (format === null) {
    throw new ImageFault('unreadable', 'its content is none of JPEG, PNG, WebP, AVIF, TIFF, GIF and BMP');
  }
  return format;
}

/** What a header says: pixels after EXIF rotation. Throws `ImageFault`, or what the decoder throws. */
export async function readHeader(
  source: string | Buffer,
  format: ImageFormat,
): Promise<{ width: number; height: number; depth: Metadata['depth'] }> {
  if (format === 'bmp') {
    const { width, height } = readBmpHeader(typeof source === 'string' ? await readFile(source) : source);
    return { width, height, depth: 'uchar' };
  }
  const meta = await sharp(source, { failOn: 'error', limitInputPixels: false }).metadata();
  return { ...meta.autoOrient, depth: meta.depth };
}

/** The first line of what a decoder said, for a person. */
export const firstLine = (error: unknown) =>
  (error instanceof Error ? error.message : String(error)).trim().split('\n')[0]!.slice(0, 300);
