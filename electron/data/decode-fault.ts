import { withoutPath } from '../files/on-disk.ts';
import { ImageFault } from './image-fault.ts';
import type { ImageFormat } from './pixels.ts';
import { codingOf, readPages } from './tiff.ts';

let isAlone = false;

/**
 * Says that this process decodes one image at a time. Only then do libvips' words (one error text for a whole process)
 * belong to that image and are quoted; elsewhere only what the file itself shows is said.
 */
export function decodesOneAtATime(): void {
  isAlone = true;
}

/** The first line of what a decoder said, for a person. */
export const firstLine = (error: unknown) =>
  withoutPath(error instanceof Error ? error.message : String(error))
    .trim()
    .split('\n')[0]!
    .slice(0, 300);

/** What is wrong with an image that a decoder gave up: the same at every time. */
export function faultOf(error: unknown, format: ImageFormat, bytes: Buffer): ImageFault {
  if (error instanceof ImageFault) return error;
  const said = isAlone ? firstLine(error) : '';
  const fault = (reason: 'truncated' | 'unreadable' | 'unsupported', words: string) =>
    new ImageFault(reason, said && said !== 'Unknown error' ? `${words} (${said})` : words, { cause: error });
  const name = format === 'avif' || format === 'gif' ? format.toUpperCase() : NAMES[format];
  if (isCutShort(format, bytes, said)) return fault('truncated', 'the file ends before the picture does');
  const coding = format === 'tiff' ? codingOf(bytes) : null;
  if (coding)
    return fault('unsupported', `it is compressed with ${coding}, which is not read; save it with LZW or Deflate`);
  if (format === 'avif' && bytes.toString('latin1', 8, 32).includes('avis'))
    return fault('unsupported', 'animated AVIF is not read; save its first frame as a still one');
  return fault('unreadable', `its ${name} data is damaged`);
}

const NAMES = { jpeg: 'JPEG', png: 'PNG', webp: 'WebP', tiff: 'TIFF', bmp: 'BMP', netpbm: 'PPM' };

/** Whether a file that does not decode ends too early, by its format's own end mark or length; else it is corrupt. */
function isCutShort(format: ImageFormat, bytes: Buffer, said: string): boolean {
  const tail = bytes.subarray(-64);
  switch (format) {
    case 'jpeg':
      return /premature end|end of (input|file)|insufficient/i.test(said) || !tail.includes(Buffer.from([0xff, 0xd9]));
    case 'png':
      return !tail.includes('IEND');
    case 'webp':
      return bytes.length >= 8 && bytes.readUInt32LE(4) + 8 > bytes.length;
    case 'gif':
      return /unexpected end/i.test(said) || tail.at(-1) !== 0x3b;
    case 'avif':
      return isBoxCut(bytes) || /bad seek|end of file|past/i.test(said);
    case 'tiff':
      return /read error|got \d+ bytes/i.test(said) || tiffPointsBeyond(bytes);
    case 'bmp':
    case 'netpbm':
      return false;
  }
}

/** Whether a box of the outermost level of an ISO base media file ends beyond the file. */
function isBoxCut(bytes: Buffer): boolean {
  for (let at = 0; at + 8 <= bytes.length; ) {
    const size = bytes.readUInt32BE(at);
    if (size === 0) return false; // to the end, wherever that is
    const whole = size === 1 && at + 16 <= bytes.length ? Number(bytes.readBigUInt64BE(at + 8)) : size;
    if (whole < 8) return false;
    at += whole;
    if (at > bytes.length) return true;
  }
  return false;
}

const TIFF_TYPE_BYTES = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8];

/** Whether the first directory of a TIFF, or a value that it points to, lies beyond the end of the file. */
function tiffPointsBeyond(bytes: Buffer): boolean {
  if (bytes.length < 8) return true;
  const little = bytes[0] === 0x49;
  const u16 = (at: number) => (little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at));
  const u32 = (at: number) => (little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  try {
    readPages(bytes);
    if (u16(2) !== 42) return false;
    const directory = u32(4);
    const count = u16(directory);
    const STRIPS = [273, 324];
    const LENGTHS = [279, 325];
    let [strips, lengths]: number[][] = [[], []];
    for (let i = 0; i < count; i++) {
      const at = directory + 2 + 12 * i;
      const size = TIFF_TYPE_BYTES[u16(at + 2)] ?? 0;
      const length = u32(at + 4);
      const from = size * length > 4 ? u32(at + 8) : at + 8;
      if (from + size * length > bytes.length) return true;
      const values = () => Array.from({ length }, (_, k) => (size === 2 ? u16(from + 2 * k) : u32(from + 4 * k)));
      if (STRIPS.includes(u16(at))) strips = values();
      if (LENGTHS.includes(u16(at))) lengths = values();
    }
    return strips!.some((start, i) => start + (lengths![i] ?? 0) > bytes.length);
  } catch {
    return true; // it ends within what is read here
  }
}
