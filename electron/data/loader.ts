import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { KeptPosition } from '../../shared/checkpoint.ts';
import type { RunConfig } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import type { ViewSpec } from '../../shared/method.ts';
import type { RandAugment } from '../../shared/rand-augment.ts';
import { maskPurposes } from '../../shared/views.ts';
import { onDisk } from '../files/on-disk.ts';
import { ViewPool } from './loader-pool.ts';
import type { ViewFailure, ViewTask, WorkerRequest } from './loader-worker.ts';
import { PreparedFiles, type PreparedPlace } from './prepared.ts';
import { permutation, type Random, stream } from './random.ts';

export interface LoaderImage {
  id: number;
  /** Absolute. */
  path: string;
  /** SHA-256 of its content: what is drawn for it is keyed by this. */
  hash: string;
}

export interface LoaderOptions {
  images: readonly LoaderImage[];
  /** Folders that hold them: where one is gone, the loader says so and does not count its images as broken. */
  roots: readonly string[];
  config: RunConfig;
  /** What is made of each image. */
  views: readonly ViewSpec[];
  /** Which patches of an image are hidden, `[K]`, 1 = hidden; null where nothing is. */
  mask: ((random: Random) => Uint8Array) | null;
  /** RandAugment of the first view, after all other changes; only fine-tuning uses it. */
  randAugment?: RandAugment | null;
  /** Where the pixels of images lie that were prepared at `config.data.prepared`, by their ids. */
  prepared?: ReadonlyMap<number, PreparedPlace> | null;
  /** Threads; 0 for half the cores. */
  workers: number;
  /** Where to begin. */
  start?: Position;
  /** Aborting it ends the threads; a `next` that waits throws `canceled`. */
  signal?: AbortSignal | undefined;
}

/** How far training has come, in an epoch of as many crops as there are. */
export type Position = KeptPosition & { samples: number };

/** Crops of an epoch: each image once, or `crops_per_image` times. */
export const samplesOf = (images: number, { train }: Pick<RunConfig, 'train'>) => images * train.crops_per_image;

/** A position at the same share of the epoch, for a dataset that has gained or lost images since. */
export function positionAmong(samples: number, { epoch, sample, samples: then }: KeptPosition): Position {
  const at = then === null || then === samples ? sample : Math.floor((sample / then) * samples);
  return { epoch: epoch + Math.floor(at / samples), sample: at % samples, samples };
}

/** A micro-batch; its content depends on configuration, images and position alone. */
export interface Batch {
  /** Epoch of its last image, from 0. */
  epoch: number;
  /** Where the next one begins. */
  next: Position;
  imageIds: Int32Array;
  /** By name: `[batch, side, side, 3]`, normalised. */
  views: Record<string, Float32Array>;
  /** `[batch, K]` for each view that is masked, one after the other; 1 = hidden. Empty where the method hides nothing. */
  mask: Float32Array;
  /** Images that failed and were replaced. */
  replaced: number;
  /** How long `next` waited for it, ms. */
  waitMs: number;
}

export interface Failure {
  id: number;
  path: string;
  message: string;
}

/** Attempts to replace an image that failed, as its replacement may fail too. */
const REPLACEMENTS = 30;
/** So many images beyond a batch are tried before it is said that most fail: all of a small batch may be among the few. */
const TRIED_BEYOND = 16;

/** Decodes, crops and augments in worker threads, a bounded number of micro-batches ahead. */
export class Loader {
  readonly #options: LoaderOptions;
  readonly #pool: ViewPool;
  readonly #queue: Promise<Omit<Batch, 'waitMs'>>[] = [];
  readonly #failures = new Map<number, Failure>();
  readonly #files = new PreparedFiles();
  readonly #damaged = new Set<string>();
  #position: Position;
  /** Orders of the two latest epochs, cached: a batch may have images of both, and shuffling a million takes a while. */
  readonly #orders = new Map<number, Uint32Array>();

  constructor(options: LoaderOptions) {
    if (options.images.length === 0) throw new AppError('bad-input', 'There is no image to load.');
    this.#options = options;
    const samples = samplesOf(options.images.length, options.config);
    this.#position = positionAmong(samples, options.start ?? { epoch: 0, sample: 0, samples });
    this.#pool = new ViewPool(options.workers || Math.max(1, Math.floor(availableParallelism() / 2)), (paths) => {
      for (const path of paths) this.#damaged.add(path);
    });
    if (options.signal?.aborted) void this.close();
    options.signal?.addEventListener('abort', () => void this.close(), { once: true });
  }

  /**
   * The next micro-batch. Throws `AppError`: data-vanished where a folder or most images are gone, bad-file where most
   * cannot be read, internal where a thread died, canceled after `close`.
   */
  async next(): Promise<Batch> {
    const began = performance.now();
    this.#fill();
    const batch = await this.#queue.shift()!;
    const waitMs = performance.now() - began;
    this.#fill();
    return { ...batch, waitMs };
  }

  /** Images that could not be read, each once. */
  failures(): Failure[] {
    return [...this.#failures.values()];
  }

  /** Paths of images whose prepared pixels are not what was written: these are decoded. */
  damaged(): ReadonlySet<string> {
    return this.#damaged;
  }

  /** Micro-batches being prepared or ready. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Ends the threads; resolves when they are gone. */
  async close(): Promise<void> {
    await this.#pool.close();
    this.#files.close(); // not before: its threads read what is mapped
  }

  #fill(): void {
    while (this.#queue.length < this.#options.config.data.queue) {
      const from = this.#position;
      const { samples } = from;
      const end = from.sample + this.#options.config.train.batch_size;
      this.#position = { epoch: from.epoch + Math.floor(end / samples), sample: end % samples, samples };
      const batch = this.#prepare(from, this.#position);
      batch.catch(() => {}); // reported by the `next` that awaits this batch
      this.#queue.push(batch);
    }
  }

  /**
   * Which image stands at a slot of a micro-batch. Epochs follow each other without a gap, so that one is every image
   * once: the published loader leaves out what does not fill a batch (`drop_last`), which is nothing of a million
   * images, and of fifteen in batches of eight nearly half.
   */
  #tasks(from: Position): ViewTask[] {
    const { images, config } = this.#options;
    const { samples } = from;
    return Array.from({ length: config.train.batch_size }, (_, slot) => {
      const at = from.sample + slot;
      const epoch = from.epoch + Math.floor(at / samples);
      const sample = this.#orderOf(epoch, samples)[at % samples]!;
      const image = images[sample % images.length]!;
      return { slot, ...this.#source(image), epoch, crop: Math.floor(sample / images.length) };
    });
  }

  #orderOf(epoch: number, samples: number): Uint32Array {
    let order = this.#orders.get(epoch);
    if (!order) {
      order = permutation(this.#options.config.train.seed, epoch, samples);
      this.#orders.set(epoch, order);
      for (const old of this.#orders.keys()) if (this.#orders.size > 2) this.#orders.delete(old);
    }
    return order;
  }

  #source({ id, path, hash }: LoaderImage): Pick<ViewTask, 'id' | 'path' | 'hash' | 'prepared'> {
    const place = this.#options.prepared?.get(id);
    return { id, path, hash, prepared: place ? { ...place, mapping: this.#files.mappingOf(place) } : null };
  }

  async #prepare(from: Position, next: Position): Promise<Omit<Batch, 'waitMs'>> {
    const { config, images } = this.#options;
    const { train } = config;
    const tasks = this.#tasks(from);
    const views = this.#options.views.map((spec) => ({
      spec,
      pixels: new SharedArrayBuffer(train.batch_size * spec.side ** 2 * 3 * 4),
    }));
    const failed = new Set<number>();
    let pending = tasks;
    let [tried, broken] = [0, 0];
    for (let attempt = 0; pending.length > 0; attempt++) {
      const failures = await this.#send(pending, views);
      tried += pending.length;
      broken += failures.length;
      for (const failure of failures) {
        this.#checkFolders(failure);
        failed.add(failure.slot);
        this.#failures.set(failure.id, { id: failure.id, path: failure.path, message: failure.message });
      }
      const doMostFail = broken > tried / 2 && tried >= train.batch_size + TRIED_BEYOND;
      if (failures.length > 0 && (doMostFail || attempt === REPLACEMENTS)) {
        // A disk that is not connected can leave an empty folder where it was.
        const gone = failures.every((f) => f.code === 'ENOENT');
        throw new AppError(
          gone ? 'data-vanished' : 'bad-file',
          `${broken} of ${tried} images that were tried for a batch ${gone ? 'are gone' : 'cannot be read'}.`,
          `The first is ${failures[0]!.path}: ${failures[0]!.message}`,
          'Check the folder and its disk, import it again if files changed, and resume the run.',
        );
      }
      pending = failures.map(({ slot }) => {
        const image =
          images[stream(train.seed, from.epoch, from.sample + slot, `replacement ${attempt}`).int(images.length)]!;
        const task: ViewTask = {
          ...tasks[slot]!,
          ...this.#source(image),
          crop: tasks[slot]!.crop + (attempt + 1) * 1_000_000,
        };
        tasks[slot] = task;
        return task;
      });
    }
    return {
      epoch: tasks.at(-1)!.epoch,
      next,
      imageIds: Int32Array.from(tasks, (t) => t.id),
      views: Object.fromEntries(views.map(({ spec, pixels }) => [spec.name, new Float32Array(pixels)])),
      mask: this.#masksOf(tasks),
      replaced: failed.size,
    };
  }

  /** Each view that is masked has a mask of its own. */
  #masksOf(tasks: readonly ViewTask[]): Float32Array {
    const { mask, views, config } = this.#options;
    if (!mask) return new Float32Array(0);
    const { seed } = config.train;
    const masks = maskPurposes(views).flatMap((purpose) =>
      tasks.map(({ slot, hash, epoch, crop }) => ({
        slot,
        one: mask(stream(seed, epoch, hash, `${purpose} ${crop}`)),
      })),
    );
    const K = masks[0]!.one.length;
    const out = new Float32Array(masks.length * K);
    for (const [i, { slot, one }] of masks.entries()) out.set(one, (i - (i % tasks.length) + slot) * K);
    return out;
  }

  /** An image always goes to the same thread, where its decoded pixels may still be. */
  async #send(tasks: ViewTask[], views: WorkerRequest['views']): Promise<ViewFailure[]> {
    const { config, randAugment = null } = this.#options;
    const { augment, train, data } = config;
    const shares = Map.groupBy(tasks, (task) => task.id % this.#pool.size);
    const answers = [...shares].map(([thread, share]) =>
      this.#pool.send(thread, { config: { augment, train }, size: data.prepared, randAugment, tasks: share, views }),
    );
    return (await Promise.all(answers)).flat().sort((a, b) => a.slot - b.slot);
  }

  #checkFolders(failure: ViewFailure): void {
    const gone = this.#options.roots.find((root) => failure.path.startsWith(root) && !existsSync(onDisk(root)));
    if (gone === undefined) return;
    throw new AppError(
      'data-vanished',
      `The folder ${gone} is gone.`,
      'It was moved, renamed, or its disk is not connected.',
      'Bring it back and resume the run: nothing is lost.',
    );
  }
}
