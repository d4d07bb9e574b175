import { readdir, readFile, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import type { ImageRow } from '../../../shared/dataset.ts';
import { AppError } from '../../../shared/errors.ts';
import { DecoderPool } from '../../data/decoder-pool.ts';
import { ImageFault } from '../../data/image-fault.ts';
import { writeWhole } from '../../files/files.ts';
import { makeFolder } from '../../files/folders.ts';
import { fileOf } from '../../store/image-file.ts';
import type { Store } from '../../store/store.ts';
import type { Outside } from '../ground/outside.ts';

const THUMBNAIL_SIDE = 256;
const PICTURE_SIDE = 2048;
/** Folder of the thumbnails. Older ones, in another folder, may show other content than they are named after. */
const KEPT = 'by-content';

/** WebP. */
export interface Picture {
  body: Uint8Array;
  /** What it shows: the content's hash; null where the file is not what was imported any more. */
  hash: string | null;
}

/** RIFF says how long it is; one that was cut is made again. */
const isWholeWebp = (bytes: Buffer) =>
  bytes.length > 12 && bytes.toString('latin1', 0, 4) === 'RIFF' && bytes.readUInt32LE(4) + 8 === bytes.length;

/** Pictures for windows: thumbnails are made once and kept by content, so copies and re-imports share them. */
export class Thumbnails {
  readonly folder: string;
  readonly #store: Store;
  readonly #outside: Outside;
  readonly #decoders = new DecoderPool();
  #working = 0;
  /** Those asked last are made first: they are on the screen now. */
  readonly #waiting: (() => void)[] = [];

  constructor(store: Store, home: string, outside: Outside) {
    this.#store = store;
    this.#outside = outside;
    this.folder = join(home, 'thumbnails');
    void this.#removeOld();
  }

  /** Its longer side has at most 256 pixels. @throws AppError not-found, bad-file */
  async thumbnail(id: number): Promise<Picture> {
    const image = this.#store.images.get(id);
    const { hash } = image;
    const file = join(this.folder, KEPT, hash.slice(0, 2), `${hash}.webp`);
    const kept = await readFile(file).catch(() => null);
    if (kept && isWholeWebp(kept)) return { body: kept, hash };
    const picture = await this.#turn(() => this.#made(image, THUMBNAIL_SIDE));
    if (picture.hash !== null) keep(file, picture.body);
    return picture;
  }

  /** Its longer side has at most 2048 pixels. @throws AppError not-found, bad-file */
  picture(id: number): Promise<Picture> {
    return this.#turn(() => this.#made(this.#store.images.get(id), PICTURE_SIDE));
  }

  /** The file may have changed since it was imported, or change while it is read. */
  async #made(image: ImageRow, side: number): Promise<Picture> {
    const dataset = this.#store.datasets.get(image.dataset_id);
    const root = dataset.folders[image.folder]!;
    const path = fileOf(dataset, image);
    const before = await this.#outside.content(path, root);
    if (!before) throw new AppError('not-found', `${path} is not there, or no file.`);
    const body = await this.#scaled(image, path, side);
    const isSame = before.hash === image.hash && (await this.#outside.look(path, root)).mark === before.mark;
    return { body, hash: isSame ? image.hash : null };
  }

  /** In a process of its own: an image that takes all memory ends that process, not the window's. */
  async #scaled(image: ImageRow, path: string, side: number): Promise<Uint8Array> {
    const shrinkTo = { width: Math.min(side, image.width), height: Math.min(side, image.height) };
    try {
      return await this.#decoders.run({ kind: 'picture', path, shrinkTo, side });
    } catch (error) {
      if (!(error instanceof ImageFault)) throw error;
      throw new AppError('bad-file', `${path} cannot be decoded.`, error.message, 'Import the folder again.');
    }
  }

  /** Ends the processes that decode. */
  close(): void {
    this.#decoders.close();
  }

  async #removeOld(): Promise<void> {
    const names = await readdir(this.folder).catch(() => []);
    const old = names.filter((name) => /^[0-9a-f]{2}$/.test(name));
    for (const name of old) await rm(join(this.folder, name), { recursive: true, force: true }).catch(() => {});
  }

  async #turn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#working >= availableParallelism()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#working++;
    try {
      return await work();
    } finally {
      this.#working--;
      this.#waiting.pop()?.();
    }
  }
}

/** A thumbnail that cannot be kept is made again the next time, as one is that a power cut took: none is waited for. */
function keep(file: string, picture: Uint8Array): void {
  try {
    makeFolder(dirname(file));
    writeWhole(file, [picture], { replace: true, isSynced: false });
  } catch {
    // its disk is full, or may not be written to
  }
}
