import { plural } from '../../shared/words.ts';
import { ImageFault } from './image-fault.ts';

/**
 * Windows bitmaps, which libvips does not read. The decoders on npm trust the header (sizes, the offset of the pixels)
 * and get palettes or odd widths wrong, so this one is ours: every size is checked before memory is taken or read.
 * Source: Microsoft's "Bitmap Storage" (BITMAPFILEHEADER, BITMAPCOREHEADER, BITMAPINFOHEADER, BITMAPV4HEADER).
 */
export interface BmpHeader {
  width: number;
  height: number;
  /** Rows run from the top down. */
  topDown: boolean;
  bits: 1 | 4 | 8 | 16 | 24 | 32;
  coding: 'plain' | 'rle8' | 'rle4';
  /** RGB triples; empty above 8 bits. */
  palette: Uint8Array;
  /** Bit masks of red, green, blue, alpha; 16 and 32 bits only. */
  masks: [number, number, number, number];
  pixelOffset: number;
}

const INFO_HEADER = 40;
const CORE_HEADER = 12;

export const isBmp = (bytes: Buffer) => bytes.length >= 2 && bytes[0] === 0x42 && bytes[1] === 0x4d;

/** The checked header of a bitmap. Throws `ImageFault` (truncated, unreadable, unsupported). */
export function readBmpHeader(file: Buffer): BmpHeader {
  if (file.length < 14 + CORE_HEADER) throw new ImageFault('truncated', 'the bitmap ends inside its header');
  const pixelOffset = file.readUInt32LE(10);
  const size = file.readUInt32LE(14);
  const core = size === CORE_HEADER;
  if (!core && (size < INFO_HEADER || size > 1024)) {
    throw new ImageFault('unsupported', `a bitmap header of ${plural(size, 'byte')} is not known`);
  }
  if (file.length < 14 + size) throw new ImageFault('truncated', 'the bitmap ends inside its header');
  const width = core ? file.readUInt16LE(18) : file.readInt32LE(18);
  const signedHeight = core ? file.readUInt16LE(20) : file.readInt32LE(22);
  const height = Math.abs(signedHeight);
  const bits = file.readUInt16LE(core ? 24 : 28);
  const compression = core ? 0 : file.readUInt32LE(30);
  if (width <= 0 || height === 0) throw new ImageFault('unreadable', `the bitmap says it is ${width}x${height} pixels`);
  if (bits !== 1 && bits !== 4 && bits !== 8 && bits !== 16 && bits !== 24 && bits !== 32) {
    throw new ImageFault('unsupported', `a bitmap of ${bits} bits per pixel is not known`);
  }
  const masked = (compression === 3 || compression === 6) && (bits === 16 || bits === 32);
  const coding = compression === 1 && bits === 8 ? 'rle8' : compression === 2 && bits === 4 ? 'rle4' : 'plain';
  if (compression !== 0 && !masked && coding === 'plain') {
    throw new ImageFault('unsupported', `a bitmap with compression ${compression} and ${bits} bits is not known`);
  }

  let masks: BmpHeader['masks'] = bits === 16 ? [0x7c00, 0x3e0, 0x1f, 0] : [0xff0000, 0xff00, 0xff, 0];
  let end = 14 + size;
  if (masked) {
    // A header of 40 bytes is followed by the masks; a longer one holds them at the same place.
    const count = size >= 56 || compression === 6 ? 4 : 3;
    end = Math.max(end, 54 + 4 * count);
    if (file.length < end) throw new ImageFault('truncated', 'the bitmap ends inside its header');
    masks = [54, 58, 62, 66].map((at, i) => (i < count ? file.readUInt32LE(at) : 0)) as BmpHeader['masks'];
  }

  let palette = new Uint8Array(0);
  if (bits <= 8) {
    const entry = core ? 3 : 4;
    const used = core ? 0 : file.readUInt32LE(46);
    const room = Math.floor((Math.min(pixelOffset, file.length) - end) / entry);
    const count = Math.min(used || 2 ** bits, 2 ** bits, room);
    if (count <= 0) throw new ImageFault('unreadable', 'the bitmap has no palette');
    palette = new Uint8Array(3 * count);
    for (let i = 0; i < count; i++) {
      for (let c = 0; c < 3; c++) palette[3 * i + c] = file[end + entry * i + 2 - c]!;
    }
  }
  if (pixelOffset < end) throw new ImageFault('unreadable', 'the pixels of the bitmap start inside its header');
  const stride = strideOf(width, bits);
  if (pixelOffset >= file.length || (coding === 'plain' && pixelOffset + stride * height > file.length)) {
    throw new ImageFault(
      'truncated',
      `the bitmap ends before its ${plural(height, 'row')} ${height === 1 ? 'does' : 'do'}`,
    );
  }
  return { width, height, topDown: signedHeight < 0, bits, coding, palette, masks, pixelOffset };
}

/**
 * A bitmap as interleaved RGB, `[height, width, 3]`; alpha, where the header has a mask for it and any pixel uses it,
 * is flattened over white. Throws `ImageFault`; `too-large` above `maxPixels`.
 */
export function decodeBmp(file: Buffer, maxPixels: number): { data: Uint8Array; width: number; height: number } {
  const header = readBmpHeader(file);
  const { width, height } = header;
  if (width * height > maxPixels) {
    throw new ImageFault('too-large', `${width}x${height} pixels, above the limit of ${maxPixels}`);
  }
  const data =
    header.bits <= 8
      ? fromPalette(header, header.coding === 'plain' ? plainIndexes(file, header) : runIndexes(file, header))
      : header.bits === 24
        ? fromBytes(file, header)
        : fromMasks(file, header);
  return { data, width, height };
}

const strideOf = (width: number, bits: number) => 4 * Math.ceil((width * bits) / 32);

/** Where row `y`, counted from the top, starts in the file. */
const rowAt = (h: BmpHeader, y: number) =>
  h.pixelOffset + strideOf(h.width, h.bits) * (h.topDown ? y : h.height - 1 - y);

function fromBytes(file: Buffer, h: BmpHeader): Uint8Array {
  const out = new Uint8Array(h.width * h.height * 3);
  for (let y = 0, to = 0; y < h.height; y++) {
    for (let x = 0, at = rowAt(h, y); x < h.width; x++, at += 3, to += 3) {
      out[to] = file[at + 2]!;
      out[to + 1] = file[at + 1]!;
      out[to + 2] = file[at]!;
    }
  }
  return out;
}

function fromMasks(file: Buffer, h: BmpHeader): Uint8Array {
  const out = new Uint8Array(h.width * h.height * 3);
  const alpha = new Uint8Array(h.masks[3] ? h.width * h.height : 0);
  // A channel of n bits spans 0..2^n - 1.
  const channels = h.masks.map((mask) => {
    const shift = mask ? 31 - Math.clz32(mask & -mask) : 0;
    return { mask, shift, top: mask >>> shift };
  });
  const value = (word: number, c: number) => {
    const { mask, shift, top } = channels[c]!;
    return top ? Math.round((((word & mask) >>> shift) * 255) / top) : 0;
  };
  const step = h.bits / 8;
  let seen = false;
  for (let y = 0, i = 0; y < h.height; y++) {
    for (let x = 0, at = rowAt(h, y); x < h.width; x++, at += step, i++) {
      const word = step === 2 ? file.readUInt16LE(at) : file.readUInt32LE(at);
      for (let c = 0; c < 3; c++) out[3 * i + c] = value(word, c);
      if (alpha.length) {
        alpha[i] = value(word, 3);
        seen ||= alpha[i]! > 0;
      }
    }
  }
  // Many writers leave the alpha channel at zero and mean an opaque image.
  if (seen) {
    for (let i = 0; i < out.length; i++) out[i] = 255 + Math.round(((out[i]! - 255) * alpha[Math.floor(i / 3)]!) / 255);
  }
  return out;
}

function fromPalette(h: BmpHeader, indexes: Uint8Array): Uint8Array {
  const out = new Uint8Array(indexes.length * 3);
  // An index beyond the palette stays black, as in Windows.
  for (let i = 0; i < indexes.length; i++) {
    for (let c = 0; c < 3; c++) out[3 * i + c] = h.palette[3 * indexes[i]! + c] ?? 0;
  }
  return out;
}

function plainIndexes(file: Buffer, h: BmpHeader): Uint8Array {
  const out = new Uint8Array(h.width * h.height);
  const perByte = 8 / h.bits;
  const mask = 2 ** h.bits - 1;
  for (let y = 0, to = 0; y < h.height; y++) {
    const row = rowAt(h, y);
    for (let x = 0; x < h.width; x++, to++) {
      const shift = 8 - h.bits * ((x % perByte) + 1);
      out[to] = (file[row + Math.floor(x / perByte)]! >> shift) & mask;
    }
  }
  return out;
}

/** Run-length coding: pairs of (count, value); count 0 escapes to end of line, end of image, a jump, or a literal run. */
function runIndexes(file: Buffer, h: BmpHeader): Uint8Array {
  const out = new Uint8Array(h.width * h.height);
  const four = h.coding === 'rle4';
  let at = h.pixelOffset;
  let x = 0;
  let line = 0;
  const next = () => {
    if (at >= file.length) throw new ImageFault('truncated', 'the bitmap ends inside its compressed rows');
    return file[at++]!;
  };
  const put = (index: number) => {
    if (x < h.width && line < h.height) out[(h.topDown ? line : h.height - 1 - line) * h.width + x] = index;
    x++;
  };
  const nibble = (byte: number, i: number) => (i % 2 === 0 ? byte >> 4 : byte & 15);
  while (line < h.height) {
    const count = next();
    const code = next();
    if (count > 0) {
      for (let i = 0; i < count; i++) put(four ? nibble(code, i) : code);
    } else if (code === 0) {
      x = 0;
      line++;
      // Some writers leave out the end of the image after the last line.
      if (line === h.height && at >= file.length) break;
    } else if (code === 1) {
      break;
    } else if (code === 2) {
      x += next();
      line += next();
    } else {
      const start = at;
      let byte = 0;
      for (let i = 0; i < code; i++) {
        if (!four || i % 2 === 0) byte = next();
        put(four ? nibble(byte, i) : byte);
      }
      if ((at - start) % 2 === 1) at++;
    }
  }
  return out;
}
