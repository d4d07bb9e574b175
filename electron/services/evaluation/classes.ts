import { createHash } from 'node:crypto';
import * as tf from '@tensorflow/tfjs-core';
import { patchesOf } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import type { Scored, Scores } from '../../../shared/evaluation.ts';
import type { Start } from '../../../shared/finetune.ts';
import { leftOutWords } from '../../../shared/left-out.ts';
import { stream } from '../../data/random.ts';
import { type ImageReader, onReadable } from '../../data/readable.ts';
import { FrozenNetwork } from '../../engine/inference.ts';
import { poolTokens } from '../../engine/pooled.ts';
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
import { extractFeatures, type FeatureEncoder, FeatureTable, type KeptParts } from '../ground/features.ts';
import type { Contestant } from './contestants.ts';
import type { EvaluateOptions } from './types.ts';

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

/** What gives CLS, and the mean of the patches. */
interface Source extends FeatureEncoder {
  start: Start | 'pixels';
  /** As progress names it. */
  title: string;
  /** Of a feature. */
  width: number;
  /** Names its features among those that evaluations keep; null where none are kept. */
  key: string | null;
  dispose(): void;
}

function ofNetwork({ start, checkpoint, config, load }: Contestant): Source {
  const { model, projector, augment } = config;
  const network = new FrozenNetwork(model, projector, load('student'));
  const width = model.embed_dim;
  return {
    start,
    title: `${start} network`,
    width,
    side: model.image_size,
    augment,
    key: `${start} ${checkpoint.id}`,
    encode: (input, n) => {
      const { cls, mean } = poolTokens(network.tokens(input), n, patchesOf(model), width);
      return [cls, mean];
    },
    dispose: () => network.dispose(),
  };
}

/** The pixels of small images: what a network's features are held against. Cheap, so that none are kept. */
function ofPixels({ config: { augment, model } }: Contestant): Source {
  const side = Math.min(PIXELS_SIDE, model.image_size);
  return {
    start: 'pixels',
    title: 'pixels',
    width: 3 * side ** 2,
    side,
    augment,
    key: null,
    encode: (input) => [input, input],
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
      const kept = keptFeatures(store, options, source.key, images);
      const table = new FeatureTable(images, 2, width, reader, kept);
      await extractFeatures({
        images,
        encoder: source,
        sink: table,
        reader,
        signal: options.signal,
        fileOf: ({ file }) => file,
        onDone: (n) => options.onProgress?.(done + n, total, title),
      });
      done += images.length;
      const [cls, mean] = table.columns as [Float32Array, Float32Array];
      return { cls, mean };
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
        shots: shotsOf(train),
        draws: REPEATS,
        k: 'all that are known of a class',
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

/**
 * Where features of an evaluation are kept, to resume it and for others of this checkpoint on these images: with the queue,
 * or in the memory of a process that makes several; null where nobody asks for them again.
 */
function keptFeatures(
  store: Store,
  { queued, memory }: EvaluateOptions,
  source: string | null,
  images: readonly LabelledImage[],
): KeptParts | null {
  if (source === null) return null;
  const files = images.map(({ file, hash }) => [file, hash]);
  const hash = createHash('sha256').update(JSON.stringify(files)).digest('hex');
  // Frozen networks compute in float32, and each backend rounds in its own way.
  const key = `${source} ${tf.getBackend()} ${hash}`;
  if (queued === undefined) return memory?.of(key) ?? null;
  return {
    parts: () => store.queuedEvaluations.parts(queued, key),
    save: (start, features) => store.queuedEvaluations.savePart(queued, key, start, features),
  };
}
