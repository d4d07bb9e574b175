import { printable } from '../../shared/printable.ts';

/** Signs that take two places of a terminal: those of East Asia (UAX #11, wide and fullwidth, by blocks) and emoji. */
const BLOCKS =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/;
const WIDE = new RegExp(`${BLOCKS.source}|[\\u{1b000}-\\u{1b2ff}\\u{20000}-\\u{3fffd}\\p{Emoji_Presentation}]`, 'u');
const graphemes = new Intl.Segmenter();

/** Columns of a terminal that a text takes. */
export const widthOf = (text: string): number =>
  [...graphemes.segment(text)].reduce((sum, { segment }) => sum + (WIDE.test(segment) ? 2 : 1), 0);

/** The beginning of a text, as much as fits into `width` columns. */
export function cutTo(text: string, width: number): string {
  if (text.length <= width && widthOf(text) <= width) return text;
  let [out, left] = ['', width];
  for (const { segment } of graphemes.segment(text)) {
    left -= WIDE.test(segment) ? 2 : 1;
    if (left < 0) break;
    out += segment;
  }
  return out;
}

/** Rows in columns, numbers to the right. Line breaks and hidden characters in a cell are escaped: each row is one line. */
export function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [header, ...rows].map((row) => row.map((cell) => printable(String(cell))));
  const widths = header.map((_, c) => Math.max(...cells.map((row) => widthOf(row[c]!))));
  const right = header.map((_, c) => rows.length > 0 && rows.every((row) => typeof row[c] === 'number'));
  return cells
    .map((row) =>
      row
        .map((cell, c) => {
          const room = ' '.repeat(widths[c]! - widthOf(cell));
          return right[c] ? room + cell : cell + room;
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
