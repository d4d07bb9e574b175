import { MappedFile } from './mapped-file.ts';
import { type Pixels, resized } from './resample.ts';
import type { Scratch } from './scratch.ts';

/** Where the pixels of an image lie that was prepared: RGB, row by row, from `start` on. */
export interface PreparedPlace {
  file: string;
  start: number;
  width: number;
  height: number;
}

/** Bytes of an image's pixels. */
export const pixelBytes = ({ width, height }: { width: number; height: number }): number => 3 * width * height;

/** Sides of an image whose shorter one is at most `size`: it is made smaller, or stays as it is. */
export function downsizedSides(width: number, height: number, size: number): { width: number; height: number } {
  const scale = size / Math.min(width, height);
  return scale >= 1 ? { width, height } : { width: Math.round(width * scale), height: Math.round(height * scale) };
}

/**
 * An image whose shorter side is at most `size`: by Pillow's bicubic filter, or the very image where it is no larger.
 * What `conmim prepare` keeps, and what a run with `data.prepared` makes of the images that were not.
 */
export function downsized(image: Pixels, size: number, room?: Scratch): Pixels {
  const sides = downsizedSides(image.width, image.height, size);
  if (sides.width === image.width && sides.height === image.height) return image;
  const all = { left: 0, top: 0, width: image.width, height: image.height };
  const into = room?.take(pixelBytes(sides)) ?? new Uint8Array(pixelBytes(sides));
  return { ...sides, data: resized(image, all, sides, 'bicubic', into) };
}

/** Files of prepared images, each mapped when it is first asked for: threads and processes share the system's pages. */
export class PreparedFiles {
  readonly #files = new Map<string, MappedFile>();

  /** Has an image read ahead. @throws where the file is gone, or shorter than that */
  willNeed(place: PreparedPlace): void {
    this.#file(place).willNeed(place.start, pixelBytes(place));
  }

  /** Some rows of an image, in `room`. @throws as `willNeed` */
  rows(place: PreparedPlace, top: number, height: number, room: Scratch): Uint8Array {
    const stride = 3 * place.width;
    const rows = room.take(stride * height);
    this.#file(place).copy(place.start + stride * top, rows);
    return rows;
  }

  #file({ file }: PreparedPlace): MappedFile {
    let mapped = this.#files.get(file);
    if (!mapped) {
      mapped = new MappedFile(file);
      this.#files.set(file, mapped);
    }
    return mapped;
  }
}
