import { AppError } from '../../shared/errors.ts';
import type { LeftOut } from '../../shared/left-out.ts';
import { withoutPath } from '../files/on-disk.ts';

/** A file of a dataset, as a computation reads it. */
export interface Readable {
  id: number;
  /** Absolute. */
  file: string;
  /** Path in its dataset's folder, for messages. */
  path: string;
}

/** How often a computation restarts because images disappeared while it ran. */
const TURNS = 4;

/** An image disappeared after the images of a computation were fixed. */
class Gone extends Error {}

/**
 * Reads images for a computation, and leaves out those that cannot be read: one bad image never ends it. `onReadable`
 * makes one.
 */
export class ImageReader {
  readonly #leftOut = new Map<number, LeftOut>();
  #isSettled = false;

  /** Whether this image was left out before. */
  has({ id }: Pick<Readable, 'id'>): boolean {
    return this.#leftOut.has(id);
  }

  get leftOut(): LeftOut[] {
    return [...this.#leftOut.values()];
  }

  /** Null of one that was not left out. */
  whyLeftOut({ id }: Pick<Readable, 'id'>): string | null {
    return this.#leftOut.get(id)?.why ?? null;
  }

  leaveOut({ id, path }: Pick<Readable, 'id' | 'path'>, why: string): void {
    if (this.#leftOut.has(id)) return;
    this.#leftOut.set(id, { path, why });
    if (this.#isSettled) throw new Gone();
  }

  /** From here on the same images are read again: one that is missing then restarts the computation without it. */
  settle(): void {
    this.#isSettled = true;
  }

  begin(): void {
    this.#isSettled = false;
  }

  /** Reads images; those that can be read, in their order. */
  async read<I extends Readable, T>(
    images: readonly I[],
    read: (file: string) => Promise<T>,
  ): Promise<{ image: I; value: T }[]> {
    const known = images.filter((image) => !this.has(image));
    const results = await Promise.allSettled(known.map(({ file }) => read(file)));
    return results.flatMap((result, i) => {
      const image = known[i]!;
      if (result.status === 'fulfilled') return [{ image, value: result.value }];
      this.leaveOut(image, whyUnread(result.reason, image));
      return [];
    });
  }
}

/** Why an image could not be read, without its name. @throws errors that are no fault of the image */
export function whyUnread(error: unknown, { file }: Pick<Readable, 'file'>): string {
  if (error instanceof AppError && error.kind === 'canceled') throw error;
  const { message } = error as Error;
  const why = (error instanceof AppError && error.why) || message;
  return withoutPath(why).replaceAll(file, 'the file');
}

/**
 * Runs a computation that shows several networks the same images. Where an image disappears after they were fixed, it
 * restarts without that image: figures of different images could not be compared.
 * @throws AppError data-vanished where images keep disappearing
 */
export async function onReadable<T>(
  work: (reader: ImageReader) => Promise<T>,
): Promise<{ value: T; leftOut: LeftOut[] }> {
  const reader = new ImageReader();
  for (let turn = 1; ; turn++) {
    try {
      reader.begin();
      return { value: await work(reader), leftOut: reader.leftOut };
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      if (turn < TURNS) continue;
      throw new AppError(
        'data-vanished',
        'Images keep disappearing while they are being read.',
        `${reader.leftOut.length} cannot be read by now; the last is ${reader.leftOut.at(-1)!.path}.`,
        'Check the folder and its disk, and try again.',
      );
    }
  }
}
