import { patchesOf, type RunConfig } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import { asFigures } from '../../shared/feature-measures.ts';
import type { Metric, Run } from '../../shared/run.ts';
import type { TensorSource } from '../../shared/tensors.ts';
import { centrePixels, normalisePixels, stack } from '../data/centre.ts';
import { ImageReader } from '../data/readable.ts';
import { tokensOf } from '../engine/inference.ts';
import { Network } from '../engine/network.ts';
import { plainEncoder } from '../engine/parameters.ts';
import { pooledMean } from '../engine/pooled.ts';
import { knnPredictions, type LabelledFeatures } from '../engine/probe.ts';
import type { Store } from '../store/store.ts';
import { chanceOf, classIndices, inOrderOfContent, type LabelledImage, usableImages } from './labelled.ts';
import { rankMe } from './spectrum.ts';

/** Neighbours that vote, as in the evaluation of that name. */
const NEIGHBOURS = 20;
/** Parts that are asked in turn, with the others as the ones that are known: so each image is asked once. */
const FOLDS = 5;
/** Fewer images say nothing. */
const LEAST = 32;
/** Images that are encoded together. */
const BATCH = 32;
/** Bytes of pixels that are kept between checkpoints: of large images fewer are measured. */
const MOST_BYTES = 64 * 2 ** 20;

interface Shown {
  images: readonly LabelledImage[];
  pixels: readonly Uint8Array[];
}

/**
 * What features are worth while a run trains, beside those of its untrained network, on some images that stay the same. It
 * draws nothing and changes nothing, so that the training is the same to the bit with it and without.
 */
export class CheckpointFeatures {
  readonly #config: RunConfig;
  readonly #images: readonly LabelledImage[];
  readonly #start: () => TensorSource;
  /** Read at the first checkpoint. */
  #shown: Shown | null = null;
  #untrained: number | null = null;

  /** Null where nothing is to be measured, or there are too few images. @param start of the run: its untrained network */
  static of(store: Store, { config, dataset_id }: Run, start: () => TensorSource): CheckpointFeatures | null {
    const asked = config.metrics.checkpoint_images;
    if (asked === null || dataset_id === null) return null;
    const most = Math.min(asked, Math.floor(MOST_BYTES / (3 * config.model.image_size ** 2)));
    const all = inOrderOfContent(usableImages(store, dataset_id));
    const labelled = all.filter(({ label }) => label !== '');
    const hasClasses = new Set(labelled.map(({ label }) => label)).size >= 2;
    const images = (hasClasses ? labelled : all.map((image) => ({ ...image, label: '' }))).slice(0, most);
    return images.length < LEAST ? null : new CheckpointFeatures(config, images, start);
  }

  private constructor(config: RunConfig, images: readonly LabelledImage[], start: () => TensorSource) {
    this.#config = config;
    this.#images = images;
    this.#start = start;
  }

  /** What it adds to the figures of a step; nothing where it could not be measured, which ends no run. */
  async measure(student: Network): Promise<Metric['figures']> {
    try {
      this.#shown ??= await this.#read();
      const { images } = this.#shown;
      if (images.length < LEAST) return {};
      const trained = this.#worth(student);
      this.#untrained ??= this.#ofUntrained();
      const hasClasses = images[0]!.label !== '';
      return asFigures({
        task: hasClasses ? 'knn' : 'rankme',
        trained,
        untrained: this.#untrained,
        images: images.length,
        chance: hasClasses ? chanceOf(images) : null,
      });
    } catch (error) {
      if (error instanceof AppError) return {};
      throw error;
    }
  }

  async #read(): Promise<Shown> {
    const reader = new ImageReader();
    const shown: { image: LabelledImage; value: Uint8Array }[] = [];
    for (let at = 0; at < this.#images.length; at += BATCH)
      shown.push(
        ...(await reader.read(this.#images.slice(at, at + BATCH), (file) =>
          centrePixels(file, this.#config.model.image_size),
        )),
      );
    return { images: shown.map(({ image }) => image), pixels: shown.map(({ value }) => value) };
  }

  #ofUntrained(): number {
    const { model } = this.#config;
    const network = new Network({ model, ...plainEncoder(model) }, this.#start());
    try {
      return this.#worth(network);
    } finally {
      network.dispose();
    }
  }

  #worth(network: Network): number {
    const { images, pixels } = this.#shown!;
    const { augment, model } = this.#config;
    const width = model.embed_dim;
    const features = new Float32Array(images.length * width);
    for (let at = 0; at < images.length; at += BATCH) {
      const some = pixels.slice(at, at + BATCH).map((one) => normalisePixels(one, augment));
      const tokens = tokensOf(network, stack(some));
      features.set(pooledMean(tokens, some.length, patchesOf(model), width), at * width);
    }
    return images[0]!.label === '' ? rankMe(features, width) : accuracy(features, images, width);
  }
}

/** Share of the images whose class their nearest neighbours among the others say. */
function accuracy(features: Float32Array, images: readonly LabelledImage[], width: number): number {
  const classes = [...new Set(images.map(({ label }) => label))].sort();
  const labels = classIndices(images, classes);
  let right = 0;
  for (let fold = 0; fold < FOLDS; fold++) {
    const [known, asked] = [[] as number[], [] as number[]];
    for (const i of images.keys()) (i % FOLDS === fold ? asked : known).push(i);
    const of = (rows: readonly number[]): LabelledFeatures => {
      const some = new Float32Array(rows.length * width);
      for (const [at, i] of rows.entries()) some.set(features.subarray(i * width, (i + 1) * width), at * width);
      return { features: some, labels: Int32Array.from(rows, (i) => labels[i]!), width };
    };
    const test = of(asked);
    const found = knnPredictions(of(known), test, classes.length, NEIGHBOURS);
    right += found.reduce((n, label, i) => n + (label === test.labels[i] ? 1 : 0), 0);
  }
  return right / images.length;
}
