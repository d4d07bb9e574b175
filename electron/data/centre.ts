import sharp from 'sharp';
import type { AugmentConfig } from '../../shared/config.ts';
import { decodeImage } from './decode.ts';

/**
 * One image as an evaluation sees it: the middle square, resized, normalised; nothing random.
 * @returns `[side, side, 3]`
 */
export async function centreImage(
  path: string,
  side: number,
  augment: Pick<AugmentConfig, 'mean' | 'std'>,
): Promise<Float32Array> {
  return normalisePixels(await centrePixels(path, side), augment);
}

/** The middle square of an image, resized: RGB, `[side, side, 3]`. */
export async function centrePixels(path: string, side: number): Promise<Uint8Array> {
  const { data, width, height } = await decodeImage(path);
  const square = Math.min(width, height);
  const pixels = await sharp(data, { raw: { width, height, channels: 3 } })
    .extract({ left: (width - square) >> 1, top: (height - square) >> 1, width: square, height: square })
    .resize(side, side, { kernel: 'cubic' })
    .raw()
    .toBuffer();
  return new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.length);
}

/** Bytes as a network's input: byte / 255, minus the channel's mean, over its standard deviation. */
export function normalisePixels(pixels: Uint8Array, { mean, std }: Pick<AugmentConfig, 'mean' | 'std'>): Float32Array {
  const out = new Float32Array(pixels.length);
  for (let i = 0; i < pixels.length; i++) {
    const c = i % 3;
    out[i] = (pixels[i]! / 255 - mean[c]!) / std[c]!;
  }
  return out;
}

/** Images one after the other in one array. */
export function stack(images: readonly Float32Array[]): Float32Array {
  const size = images[0]?.length ?? 0;
  const out = new Float32Array(size * images.length);
  images.forEach((image, i) => {
    out.set(image, i * size);
  });
  return out;
}
