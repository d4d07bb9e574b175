import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import type { ImageRow } from '../../shared/domain.ts';
import { decodeImage } from '../data/decode.ts';
import type { Store } from '../store/store.ts';

const THUMBNAIL_SIDE = 256;
const PICTURE_SIDE = 2048;

/** Pictures for windows: thumbnails are made once and kept by content, so copies and re-imports share them. */
export class Thumbnails {
  readonly folder: string;
  readonly #store: Store;
  #working = 0;
  /** Those asked last are made first: they are on the screen now. */
  readonly #waiting: (() => void)[] = [];

  constructor(store: Store, home: string) {
    this.#store = store;
    this.folder = join(home, 'thumbnails');
  }

  /** WebP, its longer side at most 256 pixels. @throws AppError not-found, bad-file */
  async thumbnail(id: number): Promise<Uint8Array> {
    const image = this.#store.images.get(id);
    const file = join(this.folder, image.hash.slice(0, 2), `${image.hash}.webp`);
    if (existsSync(file)) return readFile(file);
    const picture = await this.#turn(() => this.#scaled(image, THUMBNAIL_SIDE));
    await mkdir(dirname(file), { recursive: true });
    const part = `${file}.${process.pid}.${Math.random()}`;
    await writeFile(part, picture);
    await rename(part, file);
    return picture;
  }

  /** WebP, its longer side at most 2048 pixels. @throws AppError not-found, bad-file */
  picture(id: number): Promise<Uint8Array> {
    return this.#turn(() => this.#scaled(this.#store.images.get(id), PICTURE_SIDE));
  }

  async #scaled(image: ImageRow, side: number): Promise<Uint8Array> {
    const dataset = this.#store.datasets.get(image.dataset_id);
    const path = join(dataset.folders[image.folder]!, image.path);
    const { data, width, height } = await decodeImage(path, {
      shrinkTo: { width: Math.min(side, image.width), height: Math.min(side, image.height) },
    });
    return sharp(data, { raw: { width, height, channels: 3 } })
      .resize(side, side, { fit: 'inside', withoutEnlargement: true })
      .webp({ quality: 82 })
      .toBuffer();
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
