import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, type Font } from 'fontkit';
import { ROOT } from '../../files/project.ts';

/** DejaVu Sans: the same letters on every machine, whatever fonts it has. Read when the first text is drawn. */
let font: Font | null = null;
const theFont = (): Font => (font ??= create(readFileSync(join(ROOT, 'resources', 'fonts', 'DejaVuSans.ttf'))) as Font);

/**
 * A text as the `d` of an SVG path, its baseline's left end at (`x`, `y`). A character that the font does not have
 * becomes a box.
 * @param size of the em, pixels
 */
export function textPath(text: string, x: number, y: number, size: number): string {
  const scale = size / theFont().unitsPerEm;
  const { glyphs, positions } = theFont().layout(text);
  let at = x;
  return glyphs
    .map(({ path }, i) => {
      const { xOffset, yOffset, xAdvance } = positions[i]!;
      const placed = path.transform(scale, 0, 0, -scale, at + xOffset * scale, y - yOffset * scale);
      at += xAdvance * scale;
      return placed.toSVG();
    })
    .join('');
}

/** Pixels that a text takes. */
export const textWidth = (text: string, size: number): number =>
  (theFont().layout(text).advanceWidth * size) / theFont().unitsPerEm;
