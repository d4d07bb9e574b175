import { AppError } from '../../shared/errors.ts';
import type { LeftOut } from '../../shared/left-out.ts';
import { withoutPath } from './on-disk.ts';

/** A file of a dataset, as a work reads it. */
export interface Readable {
  id: number;
  /** Absolute. */
  file: string;
  /** In its folder: what a person is told. */
  path: string;
}

/** So often a work begins anew because images went away while it was done. */
const TURNS = 4;

/** An image went away after the images of a work were settled. */
class Gone extends Error {}

/**
 * Reads images for a work, and leaves out what cannot be read: one image is never the end of a work. `onReadable` makes
 * one.
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

  leaveOut({ id, path }: Readable, why: string): void {
    if (this.#leftOut.has(id)) return;
    this.#leftOut.set(id, { path, why });
    if (this.#isSettled) throw new Gone();
  }

  /** From here on the same images are asked for again: one that is missing then makes the work begin anew, without it. */
  settle(): void {
    this.#isSettled = true;
  }

  begin(): void {
    this.#isSettled = false;
  }

  /** Those that can be read, in their order. */
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

/** Why an image could not be read, without the name that stands beside it. @throws what is no fault of the image */
export function whyUnread(error: unknown, { file }: Pick<Readable, 'file'>): string {
  if (error instanceof AppError && error.kind === 'canceled') throw error;
  const { message } = error as Error;
  const why = (error instanceof AppError && error.why) || message;
  return withoutPath(why).replaceAll(file, 'the file');
}

/**
 * Does a work whose networks are to be asked the same images: where one goes away after they were settled, all begin
 * anew without it, for figures of other images could not be compared.
 * @throws AppError data-vanished where images go on going away
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
        'Images go away while they are being looked at.',
        `${reader.leftOut.length} cannot be read by now; the last is ${reader.leftOut.at(-1)!.path}.`,
        'Check the folder and its disk, and try again.',
      );
    }
  }
}
