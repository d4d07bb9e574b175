/** What a JPEG's header says, where it is one whose pixels any decoder agrees on. */
export interface PlainJpeg {
  width: number;
  height: number;
}

/** The second bytes of markers (ITU-T T.81, table B.1). */
const SOF0 = 0xc0;
const SOF2 = 0xc2;
const DHT = 0xc4;
const SOF15 = 0xcf;
const RST0 = 0xd0;
const SOI = 0xd8;
const EOI = 0xd9;
const SOS = 0xda;
const APP1 = 0xe1;
const APP2 = 0xe2;
const APP14 = 0xee;

/**
 * The size of a JPEG that needs nothing but its standard decoded: baseline, extended or progressive Huffman coding of
 * 8 bits, grey or three components, no colour profile, no rotation. Null for every other file, and for a header that is
 * not in order: what to do about those is for a decoder that knows more. (ITU-T T.81, annex B; Exif 2.32, 4.6.2.)
 */
export function plainJpeg(bytes: Buffer): PlainJpeg | null {
  if (bytes[0] !== 0xff || bytes[1] !== SOI) return null;
  let size: PlainJpeg | null = null;
  for (let at = 2; at + 4 <= bytes.length; ) {
    if (bytes[at] !== 0xff) return null;
    const marker = bytes[at + 1]!;
    if (marker === 0xff) {
      at++; // fill byte
      continue;
    }
    if (marker === SOS) return size;
    const end = at + 2 + bytes.readUInt16BE(at + 2);
    if (marker < SOF0 || (marker >= RST0 && marker <= EOI) || end < at + 4 || end > bytes.length) return null;
    const body = bytes.subarray(at + 4, end);
    if (marker <= SOF15 && marker !== DHT) {
      if (marker > SOF2 || size || body.length < 6 || body[0] !== 8) return null;
      const [height, width, components] = [body.readUInt16BE(1), body.readUInt16BE(3), body[5]!];
      if (width === 0 || height === 0 || (components !== 1 && components !== 3)) return null;
      size = { width, height };
    }
    if (marker === APP1 && startsWith(body, 'Exif\0\0') && !isUpright(body.subarray(6))) return null;
    if (marker === APP2 && startsWith(body, 'ICC_PROFILE\0')) return null;
    // Adobe's transform: 1 is YCbCr, as without the segment; anything else is another space of colours.
    if (marker === APP14 && startsWith(body, 'Adobe') && body[11] !== 1) return null;
    at = end;
  }
  return null;
}

const startsWith = (body: Buffer, text: string) => body.toString('latin1', 0, text.length) === text;

/** Whether the first directory of EXIF data says nothing of the picture's orientation, or that it is as stored. */
function isUpright(tiff: Buffer): boolean {
  const order = tiff.toString('latin1', 0, 4);
  if (order !== 'II*\0' && order !== 'MM\0*') return false;
  const uint16 = (at: number) => (order === 'II*\0' ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at));
  try {
    const directory = order === 'II*\0' ? tiff.readUInt32LE(4) : tiff.readUInt32BE(4);
    const count = uint16(directory);
    for (let i = 0; i < count; i++) {
      const entry = directory + 2 + 12 * i;
      if (uint16(entry) === 0x0112 && (uint16(entry + 2) !== 3 || uint16(entry + 8) !== 1)) return false;
    }
    return true;
  } catch {
    return false; // it points beyond its end
  }
}
