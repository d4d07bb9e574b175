import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { ImageRow, SkipReason } from '../../shared/dataset.ts';
import { onDisk } from '../files/on-disk.ts';
import {
  DEFAULT_MAX_PIXELS,
  firstLine,
  openBytes,
  openWhole,
  requireFormat,
  requirePixels,
  requireReadable,
} from './decode.ts';
import { ImageFault } from './image-fault.ts';
import type { ImageFormat, Pixels } from './pixels.ts';

/** Sides below this are refused as too small, pixels: nothing is left to crop of them. */
export const DEFAULT_MIN_SIDE = 16;

/** Files above this are looked at before they are hashed, bytes: a disk's worth of zeros has no content to know again. */
const LOOK_FIRST = 64 * 2 ** 20;

export interface ProbeLimits {
  /** Smallest side, pixels; default `DEFAULT_MIN_SIDE`. */
  minSide?: number;
  /** Largest width times height; default, and at most, `DEFAULT_MAX_PIXELS`, which is what the readers read. */
  maxPixels?: number;
}

/** What an import records of one file's content; `hash` is empty where the file could not be read at all. */
export type ProbeResult = Pick<ImageRow, 'hash' | 'width' | 'height' | 'format' | 'reason' | 'detail' | 'note'>;

export type ImageProbe =
  | { width: number; height: number; format: ImageFormat; note?: string }
  | { reason: SkipReason; detail: string; width?: number; height?: number; format?: ImageFormat };

/**
 * Whether the bytes of an image file can be trained on. It checks header and limits, then decodes the image at full size by
 * the loader's own function, so that "usable" means that the loader can read it. Pixels are after EXIF rotation. Never throws.
 */
export async function probeImage(bytes: Buffer, limits: ProbeLimits = {}): Promise<ImageProbe> {
  const { minSide = DEFAULT_MIN_SIDE } = limits;
  const maxPixels = Math.min(limits.maxPixels ?? DEFAULT_MAX_PIXELS, DEFAULT_MAX_PIXELS);
  const found: { width?: number; height?: number; format?: ImageFormat } = {};
  try {
    if (bytes.length === 0) throw new ImageFault('empty', 'the file is empty');
    found.format = requireFormat(bytes);
    const opened = await openBytes(bytes, maxPixels);
    const { format, width, height, depth, notes } = opened;
    Object.assign(found, { width, height });
    requirePixels(width, height, maxPixels);
    if (Math.min(width, height) < minSide)
      throw new ImageFault('too-small', `${width}x${height} pixels, below ${minSide} on a side`);
    const image = await (await openWhole(bytes))();
    if (image.width !== width || image.height !== height)
      throw new ImageFault('unreadable', `its header says ${width}x${height}, it has ${image.width}x${image.height}`);
    const dark = depth > 1 ? darkness(image, format) : null;
    const note = [...notes, ...(dark ? [dark] : [])].join('; ');
    return { width, height, format, ...(note && { note }) };
  } catch (error) {
    if (error instanceof ImageFault) return { ...found, reason: error.reason, detail: error.message };
    return { ...found, reason: 'unreadable', detail: firstLine(error) };
  }
}

/** Values of a sensor with 10, 12 or 14 bits in 16: what remains of them in 8 bits is nearly black. */
function darkness({ data }: Pixels, format: ImageFormat): string | null {
  let most = 0;
  for (const value of data) if (value > most) most = value;
  const levels = most + 1;
  if (levels > 64) return null;
  const from =
    format === 'avif' ? 'more than 8 bits a sample' : `16-bit samples, none above ${levels * 256 - 1} of 65535`;
  return `${from}: ${levels} of 256 levels are left`;
}

/**
 * Hash and probe of one file. Never throws: a file that cannot be opened is `unreadable`, with no hash.
 * @param inTurn what the decoding is given to, where only one image is decoded at a time
 */
export async function probeFile(
  path: string,
  limits: ProbeLimits,
  inTurn: <T>(act: () => Promise<T>) => Promise<T> = (act) => act(),
): Promise<ProbeResult> {
  const nothing = { hash: '', width: 0, height: 0, format: '', reason: null, detail: null, note: null };
  let file: FileHandle | undefined;
  try {
    file = await open(onDisk(path), constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const now = await file.stat();
    if (!now.isFile()) throw new ImageFault('unreadable', 'it is no file');
    if (now.size > LOOK_FIRST) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(256), 0, 256, 0);
      requireFormat(buffer.subarray(0, bytesRead));
      requireReadable(now.size);
    }
    const bytes = await file.readFile();
    const hash = createHash('sha256').update(bytes).digest('hex');
    return { ...nothing, hash, ...(await inTurn(() => probeImage(bytes, limits))) };
  } catch (error) {
    if (error instanceof ImageFault) return { ...nothing, reason: error.reason, detail: error.message };
    const code = (error as NodeJS.ErrnoException).code;
    const detail = code === 'EACCES' || code === 'EPERM' ? 'no permission to read the file' : firstLine(error);
    return { ...nothing, reason: 'unreadable', detail };
  } finally {
    await file?.close();
  }
}
