import { type ModelConfig, patchesOf, type RunConfig } from '../../../shared/config.ts';
import type { ImageReader, Readable } from '../../data/readable.ts';
import type { FrozenNetwork } from '../../engine/inference.ts';
import { centreImage, stack } from './pictures.ts';

/** Images that a network sees at a time. */
const BATCH = 32;

/** What is wanted of a batch: `[batch, side, side, 3]`, normalised, to `[batch, width]` values of its images. */
export type Feature = (network: FrozenNetwork, images: Float32Array, batch: number) => Float32Array;

export interface ExtractOptions {
  config: Pick<RunConfig, 'model' | 'augment'>;
  /** Leaves out what cannot be read. */
  reader: ImageReader;
  /** The image to begin with: those before it are done. */
  from?: number;
  signal?: AbortSignal | undefined;
}

/** Images that were computed together. */
export interface Extracted<I> {
  /** Place of the first of them. */
  start: number;
  images: readonly I[];
  /** Those of them that could be read, and their features, `[read, width]`. */
  read: I[];
  values: Float32Array;
}

/** Features of the middle squares of images, some images at a time. Needs a backend. */
export async function* extract<I extends Readable>(
  network: FrozenNetwork,
  images: readonly I[],
  feature: Feature,
  { config: { model, augment }, reader, from = 0, signal }: ExtractOptions,
): AsyncGenerator<Extracted<I>> {
  for (let start = from; start < images.length; start += BATCH) {
    signal?.throwIfAborted();
    const some = images.slice(start, start + BATCH);
    const found = await reader.read(some, (file) => centreImage(file, model.image_size, augment));
    const values =
      found.length > 0 ? feature(network, stack(found.map(({ value }) => value)), found.length) : new Float32Array();
    yield { start, images: some, read: found.map(({ image }) => image), values };
  }
}

/** Where features of unfinished work are kept, by parts of which each begins at an image. */
export interface KeptFeatures {
  parts(): { start: number; features: Float32Array }[];
  save(start: number, features: Float32Array): void;
}

/**
 * Features of all images, `[images, width]`; NaN for one that cannot be read. Resumes with what was kept, and keeps what it
 * computes.
 * @param options.every images of a part that is kept
 */
export async function extractAll<I extends Readable>(
  network: FrozenNetwork,
  images: readonly I[],
  feature: Feature,
  {
    width,
    kept,
    every,
    onDone,
    ...options
  }: Omit<ExtractOptions, 'from'> & {
    width: number;
    kept: KeptFeatures | null;
    every: number;
    onDone: (images: number) => void;
  },
): Promise<Float32Array> {
  const { reader } = options;
  const out = new Float32Array(images.length * width).fill(Number.NaN);
  const from = takeUp(kept, out, width);
  for (let image = 0; image < from; image++)
    if (Number.isNaN(out[image * width]!)) reader.leaveOut(images[image]!, 'when it was first looked at');
  let saved = from;
  for await (const { start, images: some, read, values } of extract(network, images, feature, { ...options, from })) {
    const places = new Map(some.map(({ id }, i) => [id, start + i]));
    for (const [i, { id }] of read.entries())
      out.set(values.subarray(i * width, (i + 1) * width), places.get(id)! * width);
    const done = start + some.length;
    if (kept && (done - saved >= every || done === images.length)) {
      kept.save(saved, out.subarray(saved * width, done * width));
      saved = done;
    }
    onDone(done);
  }
  return out;
}

/** Copies the parts that follow each other. @returns images that they are of */
function takeUp(kept: KeptFeatures | null, out: Float32Array, width: number): number {
  let done = 0;
  for (const { start, features } of kept?.parts() ?? []) {
    if (start !== done) break;
    out.set(features, start * width);
    done += features.length / width;
  }
  return done;
}

/** One vector of an image: the mean of its patch tokens, or CLS. */
export type Pool = 'mean' | 'cls';

/** `[batch, dim]` */
export const pooled =
  (pool: Pool): Feature =>
  (network, images, batch) =>
    poolTokens(network.tokens(images), batch, network.model)[pool];

/** Both, `[batch, 2 dim]`: CLS and mean of each image. */
export const bothPools: Feature = (network, images, batch) => {
  const { embed_dim: dim } = network.model;
  const { cls, mean } = poolTokens(network.tokens(images), batch, network.model);
  const both = new Float32Array(batch * 2 * dim);
  for (let i = 0; i < batch; i++) {
    both.set(cls.subarray(i * dim, (i + 1) * dim), 2 * i * dim);
    both.set(mean.subarray(i * dim, (i + 1) * dim), (2 * i + 1) * dim);
  }
  return both;
};

/** @param tokens `[batch, 1 + K, dim]` @returns CLS, and the mean of the patches: `[batch, dim]` each */
export function poolTokens(tokens: Float32Array, batch: number, model: ModelConfig): Record<Pool, Float32Array> {
  const [K, dim] = [patchesOf(model), model.embed_dim];
  const [cls, mean] = [new Float32Array(batch * dim), new Float32Array(batch * dim)];
  for (let i = 0; i < batch; i++) {
    const start = i * (K + 1) * dim;
    cls.set(tokens.subarray(start, start + dim), i * dim);
    for (let p = 1; p <= K; p++) for (let d = 0; d < dim; d++) mean[i * dim + d]! += tokens[start + p * dim + d]! / K;
  }
  return { cls, mean };
}
