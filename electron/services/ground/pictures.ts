import sharp from 'sharp';
import { centrePixels } from '../../data/centre.ts';

export { centreImage, centrePixels, normalisePixels, stack } from '../../data/centre.ts';

/** @param pixels `[side, side, channels]` */
const pngOf = (pixels: Uint8Array, side: number, channels: 3 | 4) =>
  sharp(pixels, { raw: { width: side, height: side, channels } })
    .png()
    .toBuffer();

/** Pixels as a picture that stands in a document: a data URL. @param pixels `[side, side, channels]`, 3 or 4 */
export async function pictureUrl(pixels: Uint8Array, side: number, channels: 3 | 4 = 3): Promise<string> {
  return `data:image/png;base64,${(await pngOf(pixels, side, channels)).toString('base64')}`;
}

/** The middle square of an image as a PNG. @throws AppError bad-file */
export async function centrePng(path: string, side: number): Promise<Buffer> {
  return pngOf(await centrePixels(path, side), side, 3);
}
