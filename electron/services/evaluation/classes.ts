import { createHash } from 'node:crypto';
import { patchesOf, type RunConfig } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import type { Scored, Scores } from '../../../shared/evaluation.ts';
import type { Start } from '../../../shared/finetune.ts';
import { leftOutWords } from '../../../shared/left-out.ts';
import { stream } from '../../data/random.ts';
import { type ImageReader, onReadable } from '../../data/readable.ts';
import { FrozenNetwork } from '../../engine/inference.ts';
import {
  accuracyOf,
  confusionOf,
  knnPredictions,
  type LabelledFeatures,
  linearPredictions,
} from '../../engine/probe.ts';
import type { Store } from '../../store/store.ts';
import {
  chanceOf,
  classIndices,
  type LabelledImage,
  type LabelledSplit,
  splitLabelled,
  withoutUnread,
} from '../../trainer/labelled.ts';
import { centreImage, stack } from '../ground/pictures.ts';
import type { Contestant } from './contestants.ts';
import type { EvaluateOptions } from './types.ts';

const BATCH = 32;
/** Features are kept after so many images: an evaluation that is cut short goes on from there. */
const PART = 128;
const K_NEIGHBOURS = 20;
const PROBE = { steps: 300, lr: 0.01, weightDecay: 0.01 };
/** Of few-shot k-NN: images of a class that are known, and how often they are drawn. */
const SHOTS = [1, 2, 5, 10, 20];
const REPEATS = 10;
/** Seed of those draws: fixed, so that networks are asked the same. */
const SHOT_SEED = 20220519;

/** Side of the images whose pixels are taken in place of features. */
const PIXELS_SIDE = 16;

interface Pooled {
  cls: LabelledFeatures;
  mean: LabelledFeatures;
}

/** What gives features of images. */
interface Source {
  start: Start | 'pixels';
  /** As progress names it. */
  title: string;
  /** Of a feature. */
  width: number;
  /** Of an image, pixels. */
  side: number;
  augment: RunConfig['augment'];
  /** Names its features among those that an evaluation keeps; null where none are kept. */
  key: string | null;
  /** @param input `[n, side, side, 3]`, normalised @returns CLS, and the mean of the patches: `[n, width]` each */
  features(input: Float32Array, n: number): { cls: Float32Array; mean: Float32Array };
  dispose(): void;
}

function ofNetwork({ start, checkpoint, config, load }: Contestant): Source {
  const { model, projector, augment } = config;
  const network = new FrozenNetwork(model, projector, load('student'));
  const width = model.embed_dim;
  return {
    ...{ start, title: `${start} network`, width, side: model.image_size, augment },
    key: `${start} ${checkpoint.id}`,
    features: (input, n) => poolTokens(network.tokens(input), n, patchesOf(model), width),
    dispose: () => network.dispose(),
  };
}

/** The pixels of small images: what a network's features are held against. Cheap, so that none are kept. */
function ofPixels({ config: { augment, model } }: Contestant): Source {
  const side = Math.min(PIXELS_SIDE, model.image_size);
  return {
    ...{ start: 'pixels', title: 'pixels', width: 3 * side ** 2, side, augment, key: null },
    features: (input) => ({ cls: input, mean: input }),
    dispose: () => {},
  };
}

/** k-NN, few-shot k-NN or linear probe of networks on images by class, on frozen features. */
export async function evaluateClasses(
  store: Store,
  networks: readonly Contestant[],
  options: EvaluateOptions,
): Promise<Scored> {
  const whole = splitLabelled(store, options.dataset, options.testDataset ?? null);
  const total = whole.train.length + whole.test.length;
  const { value, leftOut } = await onReadable((reader) => measure(store, networks, options, whole, reader));
  return { ...value, left_out: leftOut, notices: [leftOutWords(leftOut, total), ...value.notices].filter(Boolean) };
}

async function measure(
  store: Store,
  networks: readonly Contestant[],
  options: EvaluateOptions,
  whole: LabelledSplit,
  reader: ImageReader,
): Promise<Omit<Scored, 'left_out'>> {
  const sources: (() => Source)[] = networks.map((network) => () => ofNetwork(network));
  if (options.pixels) sources.push(() => ofPixels(networks[0]!));
  const total = sources.length * (whole.train.length + whole.test.length);
  const scores: Scored['scores'] = {};
  const confusion: Record<string, number[][]> = {};
  let split = whole;
  let done = 0;
  for (const [i, make] of sources.entries()) {
    const source = make();
    const { start, title, width } = source;
    const extract = async (images: readonly LabelledImage[]) => {
      const features = await pooledFeatures(
        source,
        images,
        reader,
        options.signal,
        (n) => options.onProgress?.(done + n, total, title),
        keptFeatures(store, options.queued, source.key, images),
      );
      done += images.length;
      return features;
    };
    try {
      const [fit, hold] = [await extract(whole.train), await extract(whole.test)];
      // All networks are asked the images that could be read for the first.
      if (i === 0) {
        reader.settle();
        split = withoutUnread(whole, reader);
      }
      const { train, test, classes } = split;
      const labelled = (values: Float32Array, all: readonly LabelledImage[], some: readonly LabelledImage[]) => ({
        features: rowsOf(values, width, all, some),
        labels: classIndices(some, classes),
        width,
      });
      const fitted: Pooled = {
        cls: labelled(fit.cls, whole.train, train),
        mean: labelled(fit.mean, whole.train, train),
      };
      const held: Pooled = { cls: labelled(hold.cls, whole.test, test), mean: labelled(hold.mean, whole.test, test) };
      if (options.task === 'fewshot') {
        scores[start] = fewShot(fitted.mean, held.mean, classes.length, shotsOf(train));
        continue;
      }
      const k = Math.min(options.k ?? K_NEIGHBOURS, train.length);
      const predict = (pool: keyof Pooled, neighbours = k) =>
        options.task === 'knn'
          ? knnPredictions(fitted[pool], held[pool], classes.length, neighbours)
          : linearPredictions(fitted[pool], held[pool], classes.length, PROBE);
      const found = predict('mean');
      const truth = held.mean.labels;
      const isNetwork = start !== 'pixels'; // which have no CLS
      scores[start] = {
        mean_pooled: accuracyOf(found, truth),
        ...(isNetwork && { cls: accuracyOf(predict('cls'), truth) }),
      };
      if (isNetwork) confusion[start] = confusionOf(found, truth, classes.length);
      if (options.task === 'knn') {
        scores[start].mean_pooled_k1 = accuracyOf(predict('mean', 1), truth);
        if (isNetwork) scores[start].cls_k1 = accuracyOf(predict('cls', 1), truth);
      }
    } finally {
      source.dispose();
    }
  }
  const { train, test, classes } = split;
  const k = Math.min(options.k ?? K_NEIGHBOURS, train.length);
  const fewer =
    options.task === 'knn' && options.k !== undefined && k < options.k
      ? [`k is ${k}, not ${options.k}: there are no more training images.`]
      : [];
  return {
    train_images: train.length,
    test_images: test.length,
    classes: classes.length,
    chance: chanceOf(test),
    scores,
    notices: [...split.notices, ...fewer],
    ...(options.task !== 'fewshot' && { confusion: { classes, ...confusion } }),
    settings: {
      knn: { k, weights: 'exp(cosine / 0.07)' },
      fewshot: {
        ...{ shots: shotsOf(train), draws: REPEATS, k: 'all that are known of a class' },
        features: 'mean of patch tokens',
      },
      linear: { ...PROBE, optimizer: 'Adam, all rows at once' },
      lookup: {},
      labelfree: {},
    }[options.task],
  };
}

/** Images of a class that few-shot k-NN may know: every class has so many. */
function shotsOf(train: readonly LabelledImage[]): number[] {
  const counts = [...Map.groupBy(train, ({ label }) => label).values()].map((same) => same.length);
  return SHOTS.filter((n) => n <= Math.min(...counts));
}

/** Rows of some of the images: `[some, width]`. @param values `[all, width]` */
function rowsOf(
  values: Float32Array,
  width: number,
  all: readonly LabelledImage[],
  some: readonly LabelledImage[],
): Float32Array {
  if (some.length === all.length) return values;
  const places = new Map(all.map(({ id }, i) => [id, i]));
  const out = new Float32Array(some.length * width);
  for (const [i, { id }] of some.entries()) {
    const at = places.get(id)! * width;
    out.set(values.subarray(at, at + width), i * width);
  }
  return out;
}

/** k-NN with n known images of each class, drawn anew several times: mean and standard deviation of the accuracy. */
function fewShot(bank: LabelledFeatures, held: LabelledFeatures, classes: number, shots: readonly number[]): Scores {
  if (shots.length === 0) throw new AppError('bad-input', 'Every class needs at least one training image.');
  const scores: Scores = {};
  const members = Map.groupBy(bank.labels.keys(), (i) => bank.labels[i]!);
  for (const n of shots) {
    const accuracies = Array.from({ length: REPEATS }, (_, repeat) => {
      const rows = [...members].flatMap(([label, all]) =>
        stream(SHOT_SEED, repeat, label, `${n} shots`)
          .shuffle([...all])
          .slice(0, n),
      );
      const known: LabelledFeatures = {
        features: new Float32Array(rows.length * bank.width),
        labels: Int32Array.from(rows, (row) => bank.labels[row]!),
        width: bank.width,
      };
      rows.forEach((row, i) => {
        known.features.set(bank.features.subarray(row * bank.width, (row + 1) * bank.width), i * bank.width);
      });
      return accuracyOf(knnPredictions(known, held, classes, n), held.labels);
    });
    const mean = accuracies.reduce((a, b) => a + b, 0) / REPEATS;
    scores[`shots_${n}`] = mean;
    scores[`shots_${n}_sd`] = Math.sqrt(accuracies.reduce((sum, a) => sum + (a - mean) ** 2, 0) / (REPEATS - 1));
  }
  return scores;
}

/** Features of an evaluation of the queue, kept by parts: `[n, 2 dim]`, CLS and mean of each image. */
interface Kept {
  parts(): { start: number; features: Float32Array }[];
  save(start: number, features: Float32Array): void;
}

function keptFeatures(
  store: Store,
  id: number | undefined,
  source: string | null,
  images: readonly LabelledImage[],
): Kept | null {
  if (id === undefined || source === null) return null;
  const files = images.map(({ file, hash }) => [file, hash]);
  const key = `${source} ${createHash('sha256').update(JSON.stringify(files)).digest('hex')}`;
  return {
    parts: () => store.queuedEvaluations.parts(id, key),
    save: (start, features) => store.queuedEvaluations.savePart(id, key, start, features),
  };
}

/** CLS token and mean of the patch tokens of images: `[images, dim]` each, NaN for one that cannot be read. */
async function pooledFeatures(
  { width: dim, side, augment, features }: Source,
  images: readonly LabelledImage[],
  reader: ImageReader,
  signal: AbortSignal | undefined,
  onDone: (n: number) => void,
  kept: Kept | null,
) {
  const unread = () => new Float32Array(images.length * dim).fill(Number.NaN);
  const out = { cls: unread(), mean: unread() };
  let begin = 0;
  for (const { start, features: part } of kept?.parts() ?? []) {
    if (start !== begin) break;
    begin = start + part.length / (2 * dim);
    for (let image = start; image < begin; image++) {
      const [from, to] = [(image - start) * 2 * dim, image * dim];
      out.cls.set(part.subarray(from, from + dim), to);
      out.mean.set(part.subarray(from + dim, from + 2 * dim), to);
    }
  }
  for (let image = 0; image < begin; image++)
    if (Number.isNaN(out.cls[image * dim]!)) reader.leaveOut(images[image]!, 'when it was first looked at');
  let saved = begin;
  const keep = (end: number) => {
    const part = new Float32Array((end - saved) * 2 * dim);
    for (let image = saved; image < end; image++) {
      const [from, to] = [image * dim, (image - saved) * 2 * dim];
      part.set(out.cls.subarray(from, from + dim), to);
      part.set(out.mean.subarray(from, from + dim), to + dim);
    }
    kept!.save(saved, part);
    saved = end;
  };
  for (let at = begin; at < images.length; at += BATCH) {
    signal?.throwIfAborted();
    const some = images.slice(at, at + BATCH);
    const places = new Map(some.map(({ id }, i) => [id, at + i]));
    const read = await reader.read(some, (file) => centreImage(file, side, augment));
    if (read.length > 0) {
      const input = stack(read.map(({ value }) => value));
      const { cls, mean } = features(input, read.length);
      for (const [i, { image }] of read.entries()) {
        const place = places.get(image.id)! * dim;
        out.cls.set(cls.subarray(i * dim, (i + 1) * dim), place);
        out.mean.set(mean.subarray(i * dim, (i + 1) * dim), place);
      }
    }
    const done = at + some.length;
    if (kept && (done - saved >= PART || done === images.length)) keep(done);
    onDone(done);
  }
  return out;
}

/** @param tokens `[n, 1 + K, dim]` @returns CLS, and the mean of the patches: `[n, dim]` each */
export function poolTokens(tokens: Float32Array, n: number, K: number, dim: number) {
  const [cls, mean] = [new Float32Array(n * dim), new Float32Array(n * dim)];
  for (let i = 0; i < n; i++) {
    const start = i * (K + 1) * dim;
    cls.set(tokens.subarray(start, start + dim), i * dim);
    for (let p = 1; p <= K; p++) for (let d = 0; d < dim; d++) mean[i * dim + d]! += tokens[start + p * dim + d]! / K;
  }
  return { cls, mean };
}
