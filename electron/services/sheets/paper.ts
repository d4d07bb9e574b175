import { dirname } from 'node:path';
import sharp from 'sharp';
import { viridisRgb } from '../../../shared/colours.ts';
import { printable } from '../../../shared/printable.ts';
import { writeWhole } from '../../files/files.ts';
import { makeFolder, type Target, targetOf } from '../../files/outputs.ts';
import { textPath, textWidth } from './letters.ts';

/** What every contact sheet is drawn with: paper, letters, pictures on it. */

export const SHEET = { paper: '#fafaf7', ink: '#22262a', quiet: '#6d747b', line: '#dcdcd4' };
/** Strokes of bold letters, in the size of the em. */
const BOLD = 1 / 24;

export type Layer = { input: Buffer; left: number; top: number };
/** A line of text as SVG, its baseline's left end at x, y. */
export type Write = (text: string, x: number, y: number, size: number, color?: string, bold?: boolean) => string;

/** @param right where letters end at the latest, pixels: what is longer becomes smaller */
export const sheetWriter =
  (right: number): Write =>
  (given, x, y, size, color = SHEET.ink, bold = false) => {
    const text = printable(given);
    const fits = size * Math.min(1, (right - x) / Math.max(1, textWidth(text, size)));
    const stroke = bold ? ` stroke="${color}" stroke-width="${(BOLD * fits).toFixed(2)}"` : '';
    return `<path fill="${color}"${stroke} d="${textPath(text, x, y, fits)}"/>`;
  };

/** Letters as they are shown, by which names are cut: never within one. */
const letters = (text: string) => [...printable(text)];

/** The beginning, or the end, of a name that is too long for its place. */
export const beginning = (text: string, most: number): string =>
  letters(text).length > most
    ? `${letters(text)
        .slice(0, most - 1)
        .join('')}…`
    : text;
export const ending = (text: string, most: number): string =>
  letters(text).length > most
    ? `…${letters(text)
        .slice(1 - most)
        .join('')}`
    : text;

/** A hair line around a picture, so that a white one has an edge. */
export const outline = (x: number, y: number, width: number, height = width) =>
  `<rect x="${x - 0.5}" y="${y - 0.5}" width="${width + 1}" height="${height + 1}" fill="none" stroke="${SHEET.line}"/>`;

/** Where a patch lies in its picture, which is drawn at `at`: attributes of a `<rect>`. */
export function patchBox(patch: number, grid: number, at: { x: number; y: number; side: number }): string {
  const cell = at.side / grid;
  return `x="${at.x + (patch % grid) * cell}" y="${at.y + Math.floor(patch / grid) * cell}" width="${cell}" height="${cell}"`;
}

/** A frame around a patch of a picture. */
export const patchFrame = (...[patch, grid, at, colour, width]: [...Parameters<typeof patchBox>, string, number]) =>
  `<rect ${patchBox(patch, grid, at)} fill="none" stroke="${colour}" stroke-width="${width}"/>`;

/** A data URL's bytes. */
export const bytesOf = (url: string) => Buffer.from(url.slice(url.indexOf(',') + 1), 'base64');

export const enlarged = (picture: Buffer, side: number, kernel: 'nearest' | 'cubic' = 'nearest') =>
  sharp(picture).resize(side, side, { kernel }).png({ compressionLevel: 1 }).toBuffer();

/** Values of patches as colours, from nothing to the most of them, or to `least` where all are below. `[grid * grid]` */
export async function heatMap(values: readonly number[], grid: number, side: number, least: number): Promise<Buffer> {
  const most = Math.max(...values, least);
  const rgb = Buffer.from(values.flatMap((value) => viridisRgb(value / most)));
  const map = await sharp(rgb, { raw: { width: grid, height: grid, channels: 3 } })
    .png()
    .toBuffer();
  return enlarged(map, side);
}

const svg = (width: number, height: number, body: string) =>
  Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${body}</svg>`);

/** Writes a PNG: pictures on paper, and SVG over them. @throws AppError as `writeWhole` */
export async function saveSheet(
  width: number,
  height: number,
  layers: Layer[],
  body: string,
  out: Target,
): Promise<void> {
  const png = await sharp({ create: { width, height, channels: 3, background: SHEET.paper } })
    .composite([...layers, { input: svg(width, height, body), left: 0, top: 0 }])
    .png({ compressionLevel: 9 })
    .toBuffer();
  const { path, replace } = targetOf(out);
  makeFolder(dirname(path));
  writeWhole(path, [png], { replace });
}
