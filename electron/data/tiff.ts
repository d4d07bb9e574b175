import { ImageFault } from './image-fault.ts';

/**
 * What the directories of a TIFF say, which libvips does not tell or takes otherwise: what the bands are, what kind of
 * numbers, and which page is the picture. Source: TIFF 6.0, and Adobe's technical notes on TIFF (sub-files).
 */
export interface TiffPage {
  /** Index of its directory in the chain. */
  index: number;
  /** A smaller copy, or a mask: not the picture. */
  isBeside: boolean;
  width: number;
  height: number;
  bits: number[];
  /** 1 unsigned, 2 signed, 3 floating, 4 undefined, 5 and 6 complex. */
  format: number[];
  photometric: number;
  compression: number;
  samples: number;
  /** Kind of each band above the colours: 0 unspecified, 1 and 2 alpha. */
  extra: number[];
  isSeparate: boolean;
  /** Subsampling of YCbCr, horizontal and vertical. */
  subsampling: number[];
  reference: number[];
  /** Offsets in the file of values that are single numbers, by tag, so that they can be overwritten. */
  at: Map<number, number>;
}

/** How a TIFF is to be read so that its colours are seen, and nothing else. */
export interface TiffPlan {
  /** Index of the directory to read. */
  page: number;
  /** What libvips is given: the file, or a copy whose directory says what the bands are. */
  bytes: Buffer;
  /** `as-is`; `ycbcr`: to be converted; `bands`: colours are the first three, `alpha` a band above them or none. */
  read: { as: 'as-is' } | { as: 'ycbcr' } | { as: 'bands'; alpha: number | null };
  samples: number;
  /** Bytes of a sample. */
  depth: number;
  /** What is left out of it, for a person. */
  notes: string[];
}

const SUBFILE = 254;
const OLD_SUBFILE = 255;
const WIDTH = 256;
const HEIGHT = 257;
const BITS = 258;
const COMPRESSION = 259;
const PHOTOMETRIC = 262;
const SAMPLES = 277;
const PLANAR = 284;
const EXTRA = 338;
const FORMAT = 339;
const SUBSAMPLING = 530;
const REFERENCE = 532;

const GREY_ON_WHITE = 0;
const GREY = 1;
const RGB = 2;
const YCBCR = 6;

/** Colours of a pixel, by PhotometricInterpretation. */
const COLOURS = new Map([
  [GREY_ON_WHITE, 1],
  [GREY, 1],
  [RGB, 3],
  [3, 1],
  [5, 4],
  [YCBCR, 3],
]);
const OTHER_COLOURS = new Map([
  [4, 'a transparency mask'],
  [8, 'CIE Lab'],
  [9, 'ICC Lab'],
  [10, 'ITU Lab'],
  [32803, 'a camera’s raw mosaic'],
  [32844, 'LogL'],
  [32845, 'LogLuv'],
  [34892, 'a camera’s linear raw'],
]);
/** Codings that are not read everywhere, by Compression. */
const CODINGS = new Map([
  [2, 'CCITT'],
  [3, 'CCITT fax'],
  [4, 'CCITT fax'],
  [6, 'old-style JPEG'],
  [32766, 'NeXT'],
  [32809, 'ThunderScan'],
  [33003, 'JPEG 2000'],
  [33004, 'JPEG 2000'],
  [33005, 'JPEG 2000'],
  [34661, 'JBIG'],
  [34676, 'SGI LogLuv'],
  [34677, 'SGI LogLuv'],
  [34712, 'JPEG 2000'],
  [34887, 'LERC'],
  [34892, 'lossy JPEG'],
  [34925, 'LZMA'],
  [50000, 'ZSTD'],
  [50001, 'WebP'],
  [50002, 'JPEG XL'],
]);
const JPEGS = [6, 7];
/** What the samples are scaled between where a YCbCr file says nothing (TIFF 6.0, page 91). */
const FULL_RANGE = [0, 255, 128, 255, 128, 255];

const TYPE_BYTES = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8];
/** Directories that are walked: a chain of more is a loop, or nobody's picture. */
const MOST_PAGES = 65_536;
/** Values that are read of a tag: more than any that matters has. */
const MOST_VALUES = 1024;

/** The name of how its data is coded, where that is not one that every reader knows. */
export const codingOf = (bytes: Buffer): string | null => {
  try {
    return CODINGS.get(firstPicture(readPages(bytes)).compression) ?? null;
  } catch {
    return null;
  }
};

/** The directories of the main chain. Throws `ImageFault` where there is not one whole one. */
export function readPages(bytes: Buffer): TiffPage[] {
  const pages: TiffPage[] = [];
  const seen = new Set<number>();
  try {
    const little = bytes[0] === 0x49;
    const u16 = (at: number) => (little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at));
    const u32 = (at: number) => (little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
    const u64 = (at: number) => Number(little ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at));
    const isBig = u16(2) === 43;
    const place = isBig ? u64 : u32;
    const [countBytes, entryBytes, inline] = isBig ? [8, 20, 8] : [2, 12, 4];
    for (let at = place(isBig ? 8 : 4); at !== 0 && !seen.has(at) && pages.length < MOST_PAGES; ) {
      seen.add(at);
      const count = isBig ? u64(at) : u16(at);
      const values = new Map<number, number[]>();
      const places = new Map<number, number>();
      for (let i = 0; i < count; i++) {
        const entry = at + countBytes + entryBytes * i;
        const [tag, type] = [u16(entry), u16(entry + 2)];
        const length = isBig ? u64(entry + 4) : u32(entry + 4);
        const size = TYPE_BYTES[type] ?? 0;
        const value = entry + (isBig ? 12 : 8);
        const from = length * size <= inline ? value : place(value);
        if (!WANTED.has(tag) || size === 0) continue;
        places.set(tag, from);
        const one = (k: number) => {
          const p = from + k * size;
          if (type === 5) return u32(p) / u32(p + 4);
          return size === 1 ? bytes.readUInt8(p) : size === 2 ? u16(p) : size === 4 ? u32(p) : u64(p);
        };
        values.set(
          tag,
          Array.from({ length: Math.min(length, MOST_VALUES) }, (_, k) => one(k)),
        );
      }
      pages.push(pageOf(pages.length, values, places));
      at = place(at + countBytes + entryBytes * count);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    // A chain that breaks off after its first directory has lost only what is not read.
    if (pages.length === 0) throw new ImageFault('truncated', 'the file ends before its directory does');
  }
  if (pages.length === 0) throw new ImageFault('unreadable', 'it has no directory of its picture');
  return pages;
}

const WANTED = new Set([
  ...[SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR, EXTRA, FORMAT],
  ...[SUBSAMPLING, REFERENCE],
]);

function pageOf(index: number, values: Map<number, number[]>, at: Map<number, number>): TiffPage {
  const one = (tag: number, otherwise: number) => values.get(tag)?.[0] ?? otherwise;
  const samples = one(SAMPLES, 1);
  const photometric = one(PHOTOMETRIC, samples >= 3 ? RGB : GREY);
  const above = Math.max(0, samples - (COLOURS.get(photometric) ?? samples));
  const named = values.get(EXTRA) ?? [];
  return {
    index,
    at,
    samples,
    photometric,
    isBeside: (one(SUBFILE, 0) & 0b101) !== 0 || one(OLD_SUBFILE, 1) === 2,
    width: one(WIDTH, 0),
    height: one(HEIGHT, 0),
    bits: values.get(BITS) ?? [1],
    format: values.get(FORMAT) ?? [1],
    compression: one(COMPRESSION, 1),
    // Fewer than there are bands above: the others are unspecified.
    extra: Array.from({ length: above }, (_, i) => named[i] ?? 0),
    isSeparate: one(PLANAR, 1) === 2,
    subsampling: values.get(SUBSAMPLING) ?? [2, 2],
    reference: values.get(REFERENCE) ?? FULL_RANGE,
  };
}

/** The first page that is a picture of its own. */
const firstPicture = (pages: TiffPage[]) => pages.find((page) => !page.isBeside) ?? pages[0]!;

/** How to read a TIFF. Throws `ImageFault` for one whose samples would be seen as something else than they are. */
export function planTiff(bytes: Buffer): TiffPlan {
  const pages = readPages(bytes);
  const page = firstPicture(pages);
  const { photometric, samples, bits, format, isSeparate } = page;
  const colours = COLOURS.get(photometric);
  if (colours === undefined) {
    const name = OTHER_COLOURS.get(photometric) ?? `of kind ${photometric}`;
    throw new ImageFault('unsupported', `its colours are ${name}; grey, palette, RGB, CMYK and YCbCr are read`);
  }
  if (samples < colours) throw new ImageFault('unreadable', `it has ${samples} bands, too few for its colours`);
  requireSamples(bits, format);
  const depth = bits[0]! > 8 ? 2 : 1;
  const isYcbcr = photometric === YCBCR && !JPEGS.includes(page.compression);
  if (isYcbcr) requireYcbcr(page);

  const notes: string[] = [];
  const pictures = pages.filter((p) => !p.isBeside).length;
  if (pictures > 1) notes.push(`the first of ${pictures} pages is read`);
  const plan = { page: page.index, samples, depth, notes };
  const isAlpha = (kind: number) => kind === 1 || kind === 2;
  const asIs = page.extra.length === 0 || (page.extra.length === 1 && isAlpha(page.extra[0]!));
  if (isYcbcr) {
    if (page.extra.length > 0) throw new ImageFault('unsupported', 'it is YCbCr with a band more');
    return { ...plan, bytes, read: { as: 'ycbcr' } };
  }
  if (asIs && !(isSeparate && colours === 1 && samples > 1)) return { ...plan, bytes, read: { as: 'as-is' } };

  // Grey and two or more bands that nobody says to be alpha: the first three are the colours, as other programs have it.
  const plain = page.extra.filter((kind) => !isAlpha(kind)).length;
  const isColour = photometric === GREY && plain >= 2;
  if (photometric === GREY_ON_WHITE && plain >= 2)
    throw new ImageFault('unsupported', `it has ${samples} bands of which the least value is white`);
  const extra = isColour ? page.extra.slice(2) : page.extra;
  // libvips mixes up planes of grey that stand one after the other.
  if (isSeparate && !isColour && colours === 1)
    throw new ImageFault('unsupported', 'it has grey and another band as planes; save it with its bands interleaved');
  const first = extra.findIndex(isAlpha);
  notes.push(leftOut(samples, isColour ? 3 : colours, extra, first, isColour));
  return {
    ...plan,
    bytes: isColour ? withPhotometric(bytes, page, RGB) : bytes,
    read: { as: 'bands', alpha: first < 0 ? null : first },
  };
}

function leftOut(samples: number, colours: number, extra: number[], alpha: number, isColour: boolean): string {
  const left = extra.length - (alpha < 0 ? 0 : 1);
  const what = isColour
    ? 'the first three are read as red, green and blue'
    : colours === 1
      ? 'one is its grey'
      : `${colours} are its colours`;
  const beside = alpha < 0 ? '' : ', and one is alpha';
  if (left === 0) return `${samples} bands: ${what}${beside}`;
  return `${samples} bands: ${what}${beside}; ${left === 1 ? 'one, no alpha, is' : `${left} are`} left out`;
}

function requireSamples(bits: number[], format: number[]): void {
  const [kind, size] = [format[0]!, bits[0]!];
  const name = { 2: 'signed integers', 3: 'floating-point numbers', 5: 'complex integers', 6: 'complex numbers' }[kind];
  const how = 'scale them to 0 to 65,535 and save 16-bit unsigned integers';
  if (name) throw new ImageFault('unsupported', `its samples are ${size}-bit ${name}; ${how}`);
  if (bits.some((b) => b !== size)) throw new ImageFault('unsupported', `its bands have ${bits.join(', ')} bits`);
  if (![1, 2, 4, 8, 16].includes(size))
    throw new ImageFault('unsupported', `its samples are ${size}-bit unsigned integers; ${how}`);
}

function requireYcbcr({ subsampling, reference, bits, isSeparate }: TiffPage): void {
  if (subsampling.some((s) => s !== 1) || bits[0] !== 8 || isSeparate)
    throw new ImageFault('unsupported', 'it is YCbCr with fewer or other samples of colour; save it as RGB');
  if (reference.some((r, i) => r !== FULL_RANGE[i]))
    throw new ImageFault('unsupported', 'it is YCbCr of a range of its own; save it as RGB');
}

function withPhotometric(bytes: Buffer, page: TiffPage, value: number): Buffer {
  const copy = Buffer.from(bytes);
  const at = page.at.get(PHOTOMETRIC);
  if (at === undefined) return copy;
  if (bytes[0] === 0x49) copy.writeUInt16LE(value, at);
  else copy.writeUInt16BE(value, at);
  return copy;
}

/** YCbCr samples as RGB, in place (ITU-R BT.601, as TIFF 6.0 has it by default). @param data interleaved, three bands */
export function fromYcbcr(data: Uint8Array): void {
  const clamp = (value: number) => Math.max(0, Math.min(255, Math.round(value)));
  for (let i = 0; i + 2 < data.length; i += 3) {
    const [y, cb, cr] = [data[i]!, data[i + 1]! - 128, data[i + 2]! - 128];
    data[i] = clamp(y + 1.402 * cr);
    data[i + 1] = clamp(y - 0.344136 * cb - 0.714136 * cr);
    data[i + 2] = clamp(y + 1.772 * cb);
  }
}

/** The colours of interleaved bands, over white where a band is alpha. @param bands of `data`; colours are the first three */
export function fromBands(data: Uint8Array, bands: number, alpha: number | null): Uint8Array {
  const out = new Uint8Array((data.length / bands) * 3);
  for (let from = 0, to = 0; from < data.length; from += bands, to += 3) {
    const a = alpha === null ? 255 : data[from + 3 + alpha]!;
    for (let c = 0; c < 3; c++) out[to + c] = Math.round(255 + ((data[from + c]! - 255) * a) / 255);
  }
  return out;
}
