import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import sharp from 'sharp';
import type { ImageRow, SkipReason } from '../../shared/domain.ts';
import {
  DEFAULT_MAX_PIXELS,
  firstLine,
  type ImageFormat,
  readHeader,
  requireFormat,
  sniffFormat,
  strictInput,
} from './decode.ts';
import { decodeBmp } from './formats-bmp.ts';
import { ImageFault } from './image-fault.ts';

/** Sides below this are refused as too small, pixels: nothing is left to crop of them. */
export const DEFAULT_MIN_SIDE = 16;

/** Files above this are hashed and decoded from disk, not from memory, bytes. */
const IN_MEMORY = 64 * 2 ** 20;

export interface ProbeLimits {
  /** Smallest side, pixels; default `DEFAULT_MIN_SIDE`. */
  minSide?: number;
  /** Largest width times height; default `DEFAULT_MAX_PIXELS`. */
  maxPixels?: number;
}

/** What an import records of one file's content; `hash` is empty where the file could not be read at all. */
export type ProbeResult = Pick<ImageRow, 'hash' | 'width' | 'height' | 'format' | 'reason' | 'detail'>;

export type ImageProbe =
  | { width: number; height: number; format: ImageFormat }
  | { reason: SkipReason; detail: string; width?: number; height?: number; format?: ImageFormat };

/**
 * Whether an image file (or its bytes) can be trained on: the header, the limits, and one decode of the whole stream at
 * a small size, which finds a file that is cut short or corrupt. Pixels are after EXIF rotation. Never throws.
 */
export async function probeImage(source: string | Buffer, limits: ProbeLimits = {}): Promise<ImageProbe> {
  const { minSide = DEFAULT_MIN_SIDE, maxPixels = DEFAULT_MAX_PIXELS } = limits;
  const found: { width?: number; height?: number; format?: ImageFormat } = {};
  let ends: FileEnds | null = null;
  try {
    ends = await endsOf(source);
    if (ends.bytes === 0) throw new ImageFault('empty', 'the file is empty');
    const format = requireFormat(ends.head);
    found.format = format;
    const { width, height, depth } = await readHeader(source, format);
    Object.assign(found, { width, height });
    if (width * height > maxPixels) {
      throw new ImageFault('too-large', `${width}x${height} pixels, above the limit of ${maxPixels}`);
    }
    if (Math.min(width, height) < minSide) {
      throw new ImageFault('too-small', `${width}x${height} pixels, below ${minSide} on a side`);
    }
    if (depth !== 'uchar' && depth !== 'ushort') {
      throw new ImageFault('unsupported', `its samples are ${depth}; 8 and 16 bit integers are read`);
    }
    if (format === 'bmp') decodeBmp(typeof source === 'string' ? await readFile(source) : source, maxPixels);
    else
      await sharp(source, strictInput(maxPixels)).resize(16, 16, { fit: 'fill', kernel: 'nearest' }).raw().toBuffer();
    return { width, height, format };
  } catch (error) {
    if (error instanceof ImageFault) return { ...found, reason: error.reason, detail: error.message };
    const short = found.format && ends && isCutShort(found.format, ends, String(error));
    return { ...found, reason: short ? 'truncated' : 'unreadable', detail: firstLine(error) };
  }
}

/** Hash and probe of one file. Never throws: a file that cannot be opened is `unreadable`, with no hash. */
export async function probeFile(path: string, bytes: number, limits: ProbeLimits): Promise<ProbeResult> {
  const nothing = { hash: '', width: 0, height: 0, format: '', reason: null, detail: null };
  try {
    let hash: string;
    let source: string | Buffer;
    if (bytes > IN_MEMORY) {
      const sum = createHash('sha256');
      await pipeline(createReadStream(path, { highWaterMark: 2 ** 20 }), sum);
      hash = sum.digest('hex');
      source = path;
    } else {
      source = await readFile(path);
      hash = createHash('sha256').update(source).digest('hex');
    }
    return { ...nothing, hash, ...(await probeImage(source, limits)) };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const detail = code === 'EACCES' || code === 'EPERM' ? 'no permission to read the file' : firstLine(error);
    return { ...nothing, reason: 'unreadable', detail };
  }
}

/** The first and last bytes of a file, and the directory of a TIFF: what tells that it is cut short. */
interface FileEnds {
  head: Buffer;
  tail: Buffer;
  directory: Buffer;
  bytes: number;
}

async function endsOf(source: string | Buffer): Promise<FileEnds> {
  const file = typeof source === 'string' ? await open(source) : null;
  try {
    const bytes = file ? (await file.stat()).size : source.length;
    const read = async (at: number, length: number) => {
      if (!file) return (source as Buffer).subarray(at, at + length);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at);
      return buffer.subarray(0, bytesRead);
    };
    const head = await read(0, 64);
    const directory = sniffFormat(head) === 'tiff' && head.length >= 8 ? await read(uint32(head, head, 4), 4096) : head;
    return { head, directory, tail: await read(Math.max(0, bytes - 64), 64), bytes };
  } finally {
    await file?.close();
  }
}

/** Whether a file that does not decode ends too early, by its format's own end mark or length; else it is corrupt. */
function isCutShort(format: ImageFormat, { head, tail, directory, bytes }: FileEnds, message: string): boolean {
  switch (format) {
    case 'jpeg':
      return (
        /premature end|end of (input|file)|insufficient/i.test(message) || !tail.includes(Buffer.from([0xff, 0xd9]))
      );
    case 'png':
      return !tail.includes('IEND');
    case 'webp':
      return head.length >= 8 && head.readUInt32LE(4) + 8 > bytes;
    case 'gif':
      return /unexpected end/i.test(message) || tail.at(-1) !== 0x3b;
    case 'avif':
      return /bad seek|end of file|past/i.test(message);
    case 'tiff':
      return /read error|got \d+ bytes/i.test(message) || tiffPointsBeyond(head, directory, bytes);
    case 'bmp':
      return false;
  }
}

const TIFF_TYPE_BYTES = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8];

/** Whether the first directory of a TIFF, or a value that it points to, lies beyond the end of the file. */
function tiffPointsBeyond(head: Buffer, directory: Buffer, bytes: number): boolean {
  if (head.length < 8 || directory.length < 2) return true;
  const little = head[0] === 0x49;
  const count = little ? directory.readUInt16LE(0) : directory.readUInt16BE(0);
  if (uint32(head, head, 4) + 2 + 12 * count + 4 > bytes) return true;
  for (let at = 2; at < 2 + 12 * count && at + 12 <= directory.length; at += 12) {
    const type = little ? directory.readUInt16LE(at + 2) : directory.readUInt16BE(at + 2);
    const length = (TIFF_TYPE_BYTES[type] ?? 0) * uint32(head, directory, at + 4);
    if (length > 4 && uint32(head, directory, at + 8) + length > bytes) return true;
  }
  return false;
}

/** A number in the byte order that a TIFF's first bytes tell. */
const uint32 = (head: Buffer, from: Buffer, at: number) =>
  head[0] === 0x49 ? from.readUInt32LE(at) : from.readUInt32BE(at);
