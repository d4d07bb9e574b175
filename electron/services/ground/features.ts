import type { RunConfig } from '../../../shared/config.ts';
import type { ImageReader, Readable } from '../../data/readable.ts';
import type { FeaturePart } from '../../store/feature-parts.ts';
import { centreImage, stack } from './pictures.ts';

/** Images that are encoded together. In a batch with other images the last bits of a feature may differ. */
const BATCH = 32;
/** Rows are kept after so many images: a multiple of the batch, so that the batches of a later attempt are the same. */
const PART = 128;

/** What gives features of images. */
export interface FeatureEncoder {
  /** Side of an image, pixels. */
  side: number;
  augment: RunConfig['augment'];
  /**
   * @param input `[n, side, side, 3]`, normalised
   * @returns `[n, width]` for each pooling that is asked
   */
  encode(input: Float32Array, n: number): readonly Float32Array[];
}

type Image = Pick<Readable, 'id' | 'path'>;

export interface FeatureBatch<I> {
  /** Those that could be read, in their order, to which the features belong. */
  read: readonly I[];
  unread: readonly { image: I; why: string }[];
  /** `[read, width]` for each pooling; none where no image could be read. */
  features: readonly Float32Array[];
}

/** Takes features, batch by batch, and keeps them where it can: a later attempt goes on behind what is kept. */
export interface FeatureSink<I> {
  /** Images that are done with, readable or not. */
  readonly images: number;
  add(batch: FeatureBatch<I>): void;
}

interface Extraction<I extends Image> {
  images: readonly I[];
  fileOf: (image: I) => string;
  encoder: FeatureEncoder;
  sink: FeatureSink<I>;
  reader: ImageReader;
  signal?: AbortSignal | undefined;
  /** Is told how many images are done with. */
  onDone?: (images: number) => void;
}

/**
 * Features of the images that the sink does not have yet: middle squares, in their order. An image that cannot be read is
 * left out.
 * @throws the signal's reason
 */
export async function extractFeatures<I extends Image>(asked: Extraction<I>): Promise<void> {
  const { images, fileOf, encoder, sink, reader, signal, onDone } = asked;
  while (sink.images < images.length) {
    signal?.throwIfAborted();
    const some = images.slice(sink.images, sink.images + BATCH).map((image) => {
      return { id: image.id, path: image.path, file: fileOf(image), image };
    });
    const found = await reader.read(some, (file) => centreImage(file, encoder.side, encoder.augment));
    const pixels = found.map(({ value }) => value);
    sink.add({
      read: found.map(({ image: { image } }) => image),
      unread: some.flatMap(({ image }) => {
        const why = reader.whyLeftOut(image);
        return why === null ? [] : [{ image, why }];
      }),
      features: found.length > 0 ? encoder.encode(stack(pixels), found.length) : [],
    });
    onDone?.(sink.images);
  }
}

/** Where rows are kept. */
export interface KeptParts {
  /** What was kept, in order. */
  parts(): readonly FeaturePart[];
  /** Keeps rows from the image `start` on: the poolings of an image stand one behind the other. */
  save(start: number, features: Float32Array): void;
}

/** Features in memory; NaN for an image that cannot be read. Kept by parts where there is a place for them. */
export class FeatureTable<I extends Image> implements FeatureSink<I> {
  /** `[images, width]` for each pooling. */
  readonly columns: readonly Float32Array[];
  readonly #width: number;
  readonly #kept: KeptParts | null;
  readonly #places: ReadonlyMap<number, number>;
  #images = 0;
  #saved: number;

  /**
   * @param poolings how many features of `width` an image has
   * @param reader is told which images were left out when they were first looked at
   */
  constructor(images: readonly I[], poolings: number, width: number, reader: ImageReader, kept: KeptParts | null) {
    this.columns = Array.from({ length: poolings }, () => new Float32Array(images.length * width).fill(Number.NaN));
    this.#width = width;
    this.#kept = kept;
    this.#places = new Map(images.map(({ id }, i) => [id, i]));
    for (const { start, features } of kept?.parts() ?? []) {
      if (start !== this.#images) break;
      this.#images += features.length / (poolings * width);
      this.#between(start, this.#images, features, (column, row) => column.set(row));
    }
    this.#saved = this.#images;
    for (const [i, image] of images.slice(0, this.#images).entries())
      if (Number.isNaN(this.columns[0]![i * width]!)) reader.leaveOut(image, 'when it was first looked at');
  }

  get images(): number {
    return this.#images;
  }

  add({ read, unread, features }: FeatureBatch<I>): void {
    const width = this.#width;
    for (const [i, { id }] of read.entries())
      for (const [pooling, rows] of features.entries())
        this.columns[pooling]!.set(rows.subarray(i * width, (i + 1) * width), this.#places.get(id)! * width);
    this.#images += read.length + unread.length;
    const isLast = this.#images === this.#places.size;
    if (this.#kept === null || (this.#images - this.#saved < PART && !isLast)) return;
    const part = new Float32Array((this.#images - this.#saved) * this.columns.length * width);
    this.#between(this.#saved, this.#images, part, (column, row) => row.set(column));
    this.#kept.save(this.#saved, part);
    this.#saved = this.#images;
  }

  /** Goes through images of a part: each row of a column, and its place in the part. */
  #between(from: number, to: number, part: Float32Array, act: (column: Float32Array, row: Float32Array) => void): void {
    const width = this.#width;
    let at = 0;
    for (let image = from; image < to; image++)
      for (const column of this.columns) {
        act(column.subarray(image * width, (image + 1) * width), part.subarray(at, at + width));
        at += width;
      }
  }
}

/** Bytes of features that a process keeps at most: two networks of 80,000 images with features of 384. */
const MOST_BYTES = 2 ** 29;

/** Keeps features in memory, up to `MOST_BYTES`, for the next evaluations of the same process. */
export class FeatureMemory {
  readonly #parts = new Map<string, FeaturePart[]>();
  #bytes = 0;

  /** @param key names all that features depend on */
  of(key: string): KeptParts {
    return {
      parts: () => this.#parts.get(key) ?? [],
      save: (start, features) => {
        if (this.#bytes + features.byteLength > MOST_BYTES) return;
        this.#bytes += features.byteLength;
        this.#parts.set(key, [...(this.#parts.get(key) ?? []), { start, features }]);
      },
    };
  }
}
