import { ImageFault } from './image-fault.ts';

/**
 * PBM, PGM and PPM, plain and raw, which libvips is built without here.
 * Source: the pages pbm(5), pgm(5) and ppm(5) of Netpbm; of several images in a file the first is read.
 */
export interface NetpbmHeader {
  width: number;
  height: number;
  /** 1 bit: pbm; grey: pgm; colour: ppm. */
  kind: 'pbm' | 'pgm' | 'ppm';
  /** Numbers in decimal, between white space. */
  plain: boolean;
  /** The value that is white; at most 65535. */
  most: number;
  pixelOffset: number;
}

/** `P`, a digit, and white space or a comment: `P7` and `Pf` are relatives that are not read, and are said to be so. */
export const isNetpbm = (head: Buffer) => /^P[1-7Ff][\s#]/.test(head.toString('latin1', 0, 3));

const isSpace = (byte: number | undefined) => byte === 32 || (byte !== undefined && byte >= 9 && byte <= 13);

/** Decimal numbers one after the other, across white space and comments. */
class Numbers {
  readonly #bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  next(): number {
    this.skip();
    const from = this.at;
    let value = 0;
    for (let digit = this.#digit(); digit !== null && value < 1e9; digit = this.#digit()) value = 10 * value + digit;
    if (this.at > from) return value;
    if (this.at >= this.#bytes.length) throw new ImageFault('truncated', 'the file ends before the picture does');
    throw new ImageFault('unreadable', 'a number is missing in it');
  }

  /** A pixel of a plain bitmap, whose digits need no space between them. */
  bit(): number {
    this.skip();
    const digit = this.#digit();
    if (digit === 0 || digit === 1) return digit;
    if (this.at >= this.#bytes.length) throw new ImageFault('truncated', 'the file ends before the picture does');
    throw new ImageFault('unreadable', 'a bitmap has values other than 0 and 1');
  }

  skip(): void {
    for (;;) {
      while (isSpace(this.#bytes[this.at])) this.at++;
      if (this.#bytes[this.at] !== 0x23) return;
      while (this.at < this.#bytes.length && this.#bytes[this.at] !== 10 && this.#bytes[this.at] !== 13) this.at++;
    }
  }

  #digit(): number | null {
    const digit = (this.#bytes[this.at] ?? 0) - 48;
    if (digit < 0 || digit > 9) return null;
    this.at++;
    return digit;
  }
}

/** The checked header. Throws `ImageFault`. */
export function readNetpbmHeader(file: Buffer): NetpbmHeader {
  const sign = file.toString('latin1', 0, 2);
  if (sign === 'P7') throw new ImageFault('unsupported', 'PAM images (P7) are not read; convert it to PPM or PNG');
  if (sign === 'PF' || sign === 'Pf')
    throw new ImageFault('unsupported', 'PFM images of floating-point numbers are not read; convert it to 16-bit PNG');
  const code = Number(sign[1]);
  const kind = (['pbm', 'pgm', 'ppm'] as const)[(code - 1) % 3]!;
  const numbers = new Numbers(file, 2);
  const width = numbers.next();
  const height = numbers.next();
  const most = kind === 'pbm' ? 1 : numbers.next();
  if (width < 1 || height < 1) throw new ImageFault('unreadable', `it says that it is ${width}x${height} pixels`);
  if (most < 1 || most > 65535) throw new ImageFault('unreadable', `its largest value is ${most}, not 1 to 65535`);
  const plain = code <= 3;
  // One white space ends the header.
  if (!plain && !isSpace(file[numbers.at])) throw new ImageFault('unreadable', 'its header does not end');
  return { width, height, kind, plain, most, pixelOffset: numbers.at + 1 };
}

/** As interleaved RGB, `[height, width, 3]`. Throws `ImageFault`; `too-large` above `maxPixels`. */
export function decodeNetpbm(file: Buffer, maxPixels: number): { data: Uint8Array; width: number; height: number } {
  const header = readNetpbmHeader(file);
  const { width, height, kind, plain, most, pixelOffset } = header;
  if (width * height > maxPixels) {
    throw new ImageFault('too-large', `${width}x${height} pixels, above the limit of ${maxPixels}`);
  }
  const bands = kind === 'ppm' ? 3 : 1;
  const samples = width * height * bands;
  const bytes = most > 255 ? 2 : 1;
  // Looked at before memory is taken: a header of some bytes may say a hundred million pixels.
  const least = plain ? samples : kind === 'pbm' ? Math.ceil(width / 8) * height : samples * bytes;
  if (file.length - pixelOffset < least) throw new ImageFault('truncated', 'the file ends before the picture does');
  const out = new Uint8Array(width * height * 3);
  const numbers = new Numbers(file, pixelOffset);
  const sample = (i: number): number => {
    if (plain) return numbers.next();
    return bytes === 1 ? file[pixelOffset + i]! : file.readUInt16BE(pixelOffset + 2 * i);
  };
  if (kind === 'pbm') {
    const stride = Math.ceil(width / 8);
    for (let i = 0, y = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++) {
        // 1 is black.
        const bit = plain ? numbers.bit() : (file[pixelOffset + y * stride + (x >> 3)]! >> (7 - (x & 7))) & 1;
        out.fill(bit ? 0 : 255, 3 * i, 3 * i + 3);
      }
    return { data: out, width, height };
  }
  for (let i = 0; i < samples; i++) {
    const value = Math.round((Math.min(sample(i), most) * 255) / most);
    if (bands === 3) out[i] = value;
    else out.fill(value, 3 * i, 3 * i + 3);
  }
  return { data: out, width, height };
}
