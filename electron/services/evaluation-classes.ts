import { createHash } from 'node:crypto';
import { patchesOf, type RunConfig } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import { stream } from '../data/random.ts';
import { FrozenNetwork } from '../engine/inference.ts';
import { accuracyOf, confusionOf, knnPredictions, type LabelledFeatures, linearPredictions } from '../engine/probe.ts';
import type { Store } from '../store/store.ts';
import { chanceOf, classIndices, type Labelled, splitLabelled } from '../trainer/labelled.ts';
import type { Contestant } from './contestants.ts';
import type { EvaluateOptions, Measured, Scores } from './evaluation.ts';
import { centreImage, stack } from './images.ts';

const BATCH = 32;
/** Features are kept after so many images: an evaluation that is cut short goes on from there. */
const PART = 128;
const PROBE = { steps: 300, lr: 0.01, weightDecay: 0.01 };
/** Of few-shot k-NN: images of a class that are known, and how often they are drawn. */
const SHOTS = [1, 2, 5, 10, 20];
const REPEATS = 10;
/** Seed of those draws: fixed, so that networks are asked the same. */
const SHOT_SEED = 20220519;

interface Pooled {
  cls: LabelledFeatures;
  mean: LabelledFeatures;
}

/** k-NN, few-shot k-NN or linear probe of networks on images by class, on frozen features. */
export async function evaluateClasses(
  store: Store,
  networks: readonly Contestant[],
  options: EvaluateOptions,
): Promise<Measured> {
  const { train, test, classes } = splitLabelled(store, options.dataset, options.testDataset ?? null);
  const perClass = Math.min(...[...Map.groupBy(train.labels, (label) => label).values()].map((same) => same.length));
  const shots = SHOTS.filter((n) => n <= perClass);
  const total = networks.length * (train.paths.length + test.paths.length);
  const scores: Measured['scores'] = {};
  const confusion: Record<string, number[][]> = {};
  let done = 0;
  for (const { start, checkpoint, config, load } of networks) {
    const network = new FrozenNetwork(config.model, config.projector, load('student'));
    const extract = async (part: Labelled): Promise<Pooled> => {
      const features = await pooledFeatures(
        network,
        part.paths,
        config,
        options.signal,
        (n) => options.onProgress?.(done + n, total, `${start} network`),
        keptFeatures(store, options.queued, `${start} ${checkpoint.id}`, part.paths),
      );
      done += part.paths.length;
      const labels = classIndices(part, classes);
      const labelled = (values: Float32Array) => ({ features: values, labels, width: config.model.embed_dim });
      return { cls: labelled(features.cls), mean: labelled(features.mean) };
    };
    try {
      const [fitted, held] = [await extract(train), await extract(test)];
      if (options.task === 'fewshot') {
        scores[start] = fewShot(fitted.mean, held.mean, classes.length, shots);
        continue;
      }
      const predict = (pool: keyof Pooled, k = options.k ?? 20) =>
        options.task === 'knn'
          ? knnPredictions(fitted[pool], held[pool], classes.length, k)
          : linearPredictions(fitted[pool], held[pool], classes.length, PROBE);
      const found = predict('mean');
      const truth = held.mean.labels;
      scores[start] = { mean_pooled: accuracyOf(found, truth), cls: accuracyOf(predict('cls'), truth) };
      confusion[start] = confusionOf(found, truth, classes.length);
      if (options.task === 'knn') {
        scores[start].mean_pooled_k1 = accuracyOf(predict('mean', 1), truth);
        scores[start].cls_k1 = accuracyOf(predict('cls', 1), truth);
      }
    } finally {
      network.dispose();
    }
  }
  return {
    train_images: train.paths.length,
    test_images: test.paths.length,
    classes: classes.length,
    chance: chanceOf(test),
    scores,
    ...(options.task !== 'fewshot' && { confusion: { classes, ...confusion } }),
    settings: {
      knn: { k: options.k ?? 20, weights: 'exp(cosine / 0.07)' },
      fewshot: { shots, draws: REPEATS, k: 'all that are known of a class', features: 'mean of patch tokens' },
      linear: { ...PROBE, optimizer: 'Adam, all rows at once' },
      lookup: {},
    }[options.task],
  };
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

function keptFeatures(store: Store, id: number | undefined, network: string, paths: readonly string[]): Kept | null {
  if (id === undefined) return null;
  const key = `${network} ${createHash('sha256').update(JSON.stringify(paths)).digest('hex')}`;
  return {
    parts: () => store.queuedEvaluations.parts(id, key),
    save: (start, features) => store.queuedEvaluations.savePart(id, key, start, features),
  };
}

/** CLS token and mean of the patch tokens of images: `[paths, dim]` each. */
async function pooledFeatures(
  network: FrozenNetwork,
  paths: readonly string[],
  { model, augment }: RunConfig,
  signal: AbortSignal | undefined,
  onDone: (n: number) => void,
  kept: Kept | null,
) {
  const dim = model.embed_dim;
  const out = { cls: new Float32Array(paths.length * dim), mean: new Float32Array(paths.length * dim) };
  let begin = 0;
  for (const { start, features } of kept?.parts() ?? []) {
    if (start !== begin) break;
    begin = start + features.length / (2 * dim);
    for (let image = start; image < begin; image++) {
      const [from, to] = [(image - start) * 2 * dim, image * dim];
      out.cls.set(features.subarray(from, from + dim), to);
      out.mean.set(features.subarray(from + dim, from + 2 * dim), to);
    }
  }
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
  for (let at = begin; at < paths.length; at += BATCH) {
    signal?.throwIfAborted();
    const some = paths.slice(at, at + BATCH);
    const input = stack(await Promise.all(some.map((path) => centreImage(path, model.image_size, augment))));
    const { cls, mean } = poolTokens(network.tokens(input), some.length, patchesOf(model), dim);
    out.cls.set(cls, at * dim);
    out.mean.set(mean, at * dim);
    const done = at + some.length;
    if (kept && (done - saved >= PART || done === paths.length)) keep(done);
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
