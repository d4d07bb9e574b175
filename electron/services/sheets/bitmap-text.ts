/**
 * Letters for pictures on machines without any font: 5 x 7 pixels each, upper case only, as SVG paths.
 * Per glyph seven rows of five bits, the leftmost pixel highest, two hexadecimal digits a row.
 */
const GLYPHS: Record<string, string> = {
  A: '0e11111f111111',
  B: '1e11111e11111e',
  C: '0e11101010110e',
  D: '1e11111111111e',
  E: '1f10101e10101f',
  F: '1f10101e101010',
  G: '0e11101713110f',
  H: '1111111f111111',
  I: '0e04040404040e',
  J: '0702020202120c',
  K: '11121418141211',
  L: '1010101010101f',
  M: '111b1515111111',
  N: '11191513111111',
  O: '0e11111111110e',
  P: '1e11111e101010',
  Q: '0e11111115120d',
  R: '1e11111e141211',
  S: '0f10100e01011e',
  T: '1f040404040404',
  U: '1111111111110e',
  V: '11111111110a04',
  W: '1111111515150a',
  X: '11110a040a1111',
  Y: '11110a04040404',
  Z: '1f01020408101f',
  0: '0e11131519110e',
  1: '040c040404040e',
  2: '0e11010204081f',
  3: '1f02040201110e',
  4: '02060a121f0202',
  5: '1f101e0101110e',
  6: '0608101e11110e',
  7: '1f010204080808',
  8: '0e11110e11110e',
  9: '0e11110f01020c',
  '.': '00000000000c0c',
  ',': '000000000c0408',
  ':': '000c0c000c0c00',
  ';': '000c0c000c0408',
  '-': '0000001f000000',
  '+': '0004041f040400',
  '=': '00001f001f0000',
  '/': '00010204081000',
  '%': '18190204081303',
  '(': '02040808080402',
  ')': '08040202020408',
  "'": '0c040800000000',
  '"': '0a0a0000000000',
  '!': '04040404000004',
  '?': '0e110102040004',
  '*': '0004150e150400',
  '#': '0a0a1f0a1f0a0a',
  '<': '02040810080402',
  '>': '08040201020408',
  '|': '04040404040404',
  _: '0000000000001f',
  '[': '0e08080808080e',
  ']': '0e02020202020e',
  '·': '00000004000000',
  '…': '00000000000015',
  '–': '0000000e000000',
  '×': '00110a040a1100',
  '→': '0004021f020400',
  '&': '0c12140815120d',
};

const UNKNOWN = '1f11111111111f';

const plain = (text: string) =>
  text
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .replace(/[‘’]/g, "'")
    .replace(/[“”]/g, '"')
    .replace(/—/g, '–')
    .toUpperCase();

/** Width in pixels of a text whose capitals are `height` pixels high. */
export const bitmapTextWidth = (text: string, height: number): number =>
  ([...plain(text)].length * 6 - 1) * (height / 7);

/**
 * A text as the `d` of an SVG path, its baseline's left end at (`x`, `y`) and its capitals `height` pixels high. Marks
 * over letters are dropped; a character that has no glyph becomes a box.
 */
export function bitmapTextPath(text: string, x: number, y: number, height: number): string {
  const pixel = height / 7;
  const squares: string[] = [];
  [...plain(text)].forEach((char, i) => {
    if (char === ' ') return;
    const rows = GLYPHS[char] ?? UNKNOWN;
    for (let row = 0; row < 7; row++) {
      const bits = Number.parseInt(rows.slice(2 * row, 2 * row + 2), 16);
      for (let column = 0; column < 5; column++) {
        if ((bits & (16 >> column)) === 0) continue;
        const left = x + (6 * i + column) * pixel;
        squares.push(`M${left.toFixed(2)} ${(y - height + row * pixel).toFixed(2)}h${pixel}v${pixel}h-${pixel}z`);
      }
    }
  });
  return squares.join('');
}
