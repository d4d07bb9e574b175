import { methodOf, requireMask } from '../../methods/index.ts';
import { suggested } from '../../shared/command.ts';
import type { RunConfig } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import type { Run } from '../../shared/run.ts';
import {
  type Batch,
  type Failure,
  Loader,
  type LoaderOptions,
  type Position,
  positionAmong,
  samplesOf,
} from '../data/loader.ts';
import { span } from '../processes/spans.ts';
import type { Store } from '../store/store.ts';
import { preparedImages } from './prepared-images.ts';
import { imagesOf, isHeldOut, type TrainingImage } from './training-images.ts';

/**
 * What a run trains on, from the step after its last checkpoint. Its threads begin to load at once, so that the first
 * micro-batch is made while TensorFlow is being loaded. Whoever makes it closes it.
 */
export class RunData {
  readonly images: readonly TrainingImage[];
  /** Where the first micro-batch begins. */
  readonly start: Position;
  /** What a person should know of the data; empty for nothing. */
  readonly notice: string;
  /** Folders that hold the images. */
  readonly roots: readonly string[];
  readonly #loader: Loader;
  #first: Promise<Batch> | null;
  /** Damaged images at which the next notice is due. */
  #tellAt = 1;
  readonly #prepare: string;

  /** @param roots folders that hold the images @param made what is made of each image */
  constructor(
    store: Store,
    run: Run,
    images: readonly TrainingImage[],
    roots: readonly string[],
    made: Pick<LoaderOptions, 'views' | 'mask' | 'randAugment'>,
  ) {
    const { config } = run;
    this.start = startOf(store, run, samplesOf(images.length, config));
    const size = config.data.prepared;
    const prepared = size === null ? null : preparedImages(store, run.dataset_id!, size, images);
    this.images = images;
    this.#prepare =
      size === null
        ? ''
        : suggested('prepare', [store.datasets.get(run.dataset_id!).name], `--size ${size}`, process.platform);
    this.roots = roots;
    this.notice = prepared?.notice ?? '';
    this.#loader = new Loader({
      images,
      roots,
      config,
      ...made,
      prepared: prepared?.places ?? null,
      workers: config.data.workers,
      start: this.start,
    });
    this.#first = this.#loader.next();
    this.#first.then(span('first batch'), () => {}); // a failure is thrown by the `next` that awaits this batch
  }

  /** The next micro-batch, with how long this call waited for it. @throws AppError as `Loader.next` does */
  async next(): Promise<Batch> {
    const first = this.#first;
    if (!first) return this.#loader.next();
    this.#first = null;
    const began = performance.now();
    const batch = await first;
    return { ...batch, waitMs: performance.now() - began };
  }

  /** What a person should know since the last call; empty for nothing. */
  news(): string {
    const damaged = this.#loader.damaged();
    if (damaged.size < this.#tellAt) return '';
    this.#tellAt = 2 * damaged.size; // the first, and then when it has doubled
    const [first] = damaged;
    const what = damaged.size === 1 ? 'one image are' : `${damaged.size} images are`;
    return (
      `The prepared pixels of ${what} not what was written (the first is ${first}): such images are decoded, to the ` +
      `same pixels. \`${this.#prepare}\` prepares them again.`
    );
  }

  /** Images that could not be read, each once. */
  failures(): Failure[] {
    return this.#loader.failures();
  }

  /** Ends the threads; resolves when they are gone. */
  close(): Promise<void> {
    return this.#loader.close();
  }
}

/** Where the last checkpoint left off; images that were added or lost since do not change the share that is done. */
function startOf(store: Store, { id }: Run, samples: number): Position {
  const latest = store.checkpoints.latest(id, { withOptimizer: true });
  if (!latest) return { epoch: 0, sample: 0, samples };
  return positionAmong(samples, store.checkpoints.get(latest.id).state.position);
}

/** What a pretraining trains on: its dataset without what is held out. @throws AppError bad-input */
export function pretrainingData(store: Store, run: Run): RunData {
  if (run.dataset_id === null)
    throw new AppError('bad-input', 'These weights were imported and have no dataset to train on.');
  const dataset = store.datasets.get(run.dataset_id);
  const images = imagesOf(store, dataset, (image) => !isHeldOut(image, run.config.data.holdout));
  if (images.length === 0) {
    throw new AppError(
      'bad-input',
      `Dataset "${dataset.name}" has no image to train on.`,
      '',
      'Import its folders again, or lower data.holdout.',
    );
  }
  return new RunData(store, run, images, dataset.folders, madeOf(run.config));
}

/** What a run's method makes of each image. */
export function madeOf(config: RunConfig): Pick<LoaderOptions, 'views' | 'mask'> {
  const { views, mask } = methodOf(config);
  return { views: views(config), mask: mask ? (random) => requireMask(config, random) : null };
}
