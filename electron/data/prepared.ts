import { crc32 } from 'node:zlib';
import { type MappedBytes, MappedFile, type Mapping, SharedBytes } from './mapped-file.ts';
import type { Pixels } from './pixels.ts';
import { resized } from './resample.ts';
import type { Scratch } from './scratch.ts';

/** Where the pixels of an image lie that was prepared: RGB, row by row, from `start` on. */
export interface PreparedPlace {
  file: string;
  start: number;
  width: number;
  height: number;
  /** Of its pixels; null where none was kept. */
  crc32: number | null;
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

/** A place, with the mapping that another thread made of its file; null where this thread opens it itself. */
export type MappedPlace = PreparedPlace & { mapping: Mapping | null };

/** Files of prepared images, each opened when it is first asked for. */
export class PreparedFiles {
  readonly #files = new Map<string, MappedFile | null>();
  #isClosed = false;

  /** The mapping of a place's file, for every thread: one for all of them has one table of pages. Null where there is none. */
  mappingOf({ file }: PreparedPlace): Mapping | null {
    return this.#file(file)?.mapping ?? null;
  }

  /** The bytes of a place's file, read ahead; null where the file is gone, or shorter than that. */
  bytesOf(place: MappedPlace): MappedBytes | null {
    const { file, mapping, start } = place;
    const bytes = mapping ? new SharedBytes(mapping) : this.#file(file);
    try {
      bytes?.willNeed(start, pixelBytes(place));
      return bytes;
    } catch {
      return null;
    }
  }

  /** Closes all files; from then on none is found. */
  close(): void {
    this.#isClosed = true;
    for (const file of this.#files.values()) file?.close();
    this.#files.clear();
  }

  /** Null where it is not there: its images were moved, or deleted. No other file will ever have its name. */
  #file(path: string): MappedFile | null {
    if (this.#isClosed) return null;
    let file = this.#files.get(path);
    if (file !== undefined) return file;
    try {
      file = new MappedFile(path);
    } catch {
      file = null;
    }
    this.#files.set(path, file);
    return file;
  }
}

/** Whether an image's pixels are what was written. @param room where they are read into */
export function isSound(bytes: MappedBytes, place: PreparedPlace, room: Scratch): boolean {
  if (place.crc32 === null) return true;
  const all = room.take(pixelBytes(place));
  bytes.copy(place.start, all);
  return crc32(all) === place.crc32;
}

/** Some rows of an image, in `room`. */
export function preparedRows(
  bytes: MappedBytes,
  { start, width }: PreparedPlace,
  top: number,
  height: number,
  room: Scratch,
): Uint8Array {
  const rows = room.take(3 * width * height);
  bytes.copy(start + 3 * width * top, rows);
  return rows;
}
