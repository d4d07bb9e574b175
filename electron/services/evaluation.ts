import { createHash } from 'node:crypto';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { gridOf, patchesOf, type RunConfig } from '../../shared/config.ts';
import type { Checkpoint, Evaluation, ImageRow, StateDict } from '../../shared/domain.ts';
import { AppError } from '../../shared/errors.ts';
import { makeMask } from '../../shared/masking.ts';
import { stream } from '../data/random.ts';
import { lookup } from '../engine/contrast.ts';
import { FrozenNetwork } from '../engine/inference.ts';
import { knnAccuracy, type LabelledFeatures, linearProbeAccuracy } from '../engine/probe.ts';
import type { Store } from '../store/store.ts';
import { isHeldOut, untrainedState } from '../trainer/training.ts';
import { centreImage, stack } from './images.ts';

export type Task = Evaluation['task'];

export interface EvaluateOptions {
  checkpoint: number;
  dataset: string | number;
  /** Where the test images come from; without it, a fixed fifth of each class of `dataset`. */
  testDataset?: string | number;
  task: Task;
  /** Neighbours of k-NN. */
  k?: number;
  onProgress?: (done: number, total: number, what: string) => void;
  signal?: AbortSignal;
}

/** Figures of one network. */
export type Scores = Record<string, number | null>;

export interface EvaluationResult {
  task: Task;
  checkpoint: { id: number; run_id: number; step: number };
  dataset: string;
  test_dataset: string;
  train_images: number;
  test_images: number;
  classes: number | null;
  /** What guessing gives. */
  chance: number;
  trained: Scores;
  /** The same network at its start: without it no figure of the trained one says anything. */
  untrained: Scores;
  settings: Record<string, unknown>;
}

const BATCH = 32;
/** Share of each class that is kept for the test, by hash of the content: the same in every evaluation. */
const TEST_SHARE = 0.2;
const PROBE = { steps: 300, lr: 0.01, weightDecay: 0.01 };

interface Labelled {
  paths: string[];
  labels: string[];
}

/** Evaluates a checkpoint beside its untrained network, and stores the figures. Needs a backend to be set. */
export async function evaluate(store: Store, options: EvaluateOptions): Promise<EvaluationResult> {
  const checkpoint = store.checkpoints.get(options.checkpoint);
  const result =
    options.task === 'lookup'
      ? await evaluateLookup(store, checkpoint, options)
      : await evaluateClasses(store, checkpoint, options);
  const dataset = store.datasets.get(options.dataset);
  store.evaluations.add({
    checkpoint_id: checkpoint.id,
    dataset_id: dataset.id,
    task: options.task,
    result: { ...result },
  });
  return result;
}

async function evaluateClasses(
  store: Store,
  checkpoint: Checkpoint,
  options: EvaluateOptions,
): Promise<EvaluationResult> {
  const { config } = checkpoint;
  const { train, test } = splitLabelled(store, options);
  const names = [...new Set(train.labels)].sort();
  if (names.length < 2) {
    throw new AppError(
      'bad-input',
      'An evaluation by class needs at least two classes.',
      '',
      'Import the dataset with --labels folders, one folder a class.',
    );
  }
  const unknown = test.labels.find((l) => !names.includes(l));
  if (unknown !== undefined)
    throw new AppError('bad-input', `Class "${unknown}" of the test images is not among the training images.`);
  const states: [string, StateDict][] = [
    ['trained', store.checkpoints.load(checkpoint.id, 'student')],
    ['untrained', untrainedState(config)],
  ];
  const total = 2 * (train.paths.length + test.paths.length);
  const scores: Record<string, Scores> = {};
  let done = 0;
  for (const [which, state] of states) {
    const network = new FrozenNetwork(config.model, config.projector, state);
    const extract = async (part: Labelled) => {
      const features = await extractFeatures(network, part.paths, config, options, (n) =>
        options.onProgress?.(done + n, total, `${which} network`),
      );
      done += part.paths.length;
      const labels = Int32Array.from(part.labels, (l) => names.indexOf(l));
      return {
        cls: { features: features.cls, labels, width: config.model.embed_dim },
        mean: { features: features.mean, labels, width: config.model.embed_dim },
      };
    };
    try {
      const [fitted, held] = [await extract(train), await extract(test)];
      const score = (a: LabelledFeatures, b: LabelledFeatures) =>
        options.task === 'knn'
          ? knnAccuracy(a, b, names.length, options.k ?? 20)
          : linearProbeAccuracy(a, b, names.length, PROBE);
      scores[which] = { mean_pooled: score(fitted.mean, held.mean), cls: score(fitted.cls, held.cls) };
      if (options.task === 'knn') {
        scores[which].mean_pooled_k1 = knnAccuracy(fitted.mean, held.mean, names.length, 1);
        scores[which].cls_k1 = knnAccuracy(fitted.cls, held.cls, names.length, 1);
      }
    } finally {
      network.dispose();
    }
  }
  const counts = new Map<string, number>();
  for (const label of test.labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  return {
    ...describe(store, checkpoint, options),
    train_images: train.paths.length,
    test_images: test.paths.length,
    classes: names.length,
    chance: Math.max(...counts.values()) / test.labels.length, // always saying the most frequent class
    trained: scores.trained!,
    untrained: scores.untrained!,
    settings:
      options.task === 'knn'
        ? { k: options.k ?? 20, weights: 'exp(cosine / 0.07)' }
        : { ...PROBE, optimizer: 'Adam, all rows at once' },
  };
}

/** Seed of the masks of an evaluation: fixed, so that checkpoints are asked the same. */
const MASK_SEED = 20220519;

async function evaluateLookup(
  store: Store,
  checkpoint: Checkpoint,
  options: EvaluateOptions,
): Promise<EvaluationResult> {
  const { config } = checkpoint;
  const dataset = store.datasets.get(options.dataset);
  const own = store.runs.get(checkpoint.run_id).dataset_id === dataset.id && config.data.holdout > 0;
  const images = usable(store, options.dataset, (image) => !own || isHeldOut(image, config.data.holdout));
  if (images.paths.length < 2)
    throw new AppError(
      'bad-input',
      'A look-up on held-out images needs at least two of them.',
      '',
      'Name a dataset with more images.',
    );
  const untrained = untrainedState(config);
  const pairs: [string, StateDict, StateDict][] = [
    ['trained', store.checkpoints.load(checkpoint.id, 'student'), store.checkpoints.load(checkpoint.id, 'teacher')],
    ['untrained', untrained, untrained],
  ];
  const K = patchesOf(config.model);
  const size = Math.min(config.train.batch_size, 64);
  const scores: Record<string, Scores> = {};
  let done = 0;
  for (const [which, studentState, teacherState] of pairs) {
    const student = new FrozenNetwork(config.model, config.projector, studentState);
    const teacher = new FrozenNetwork(config.model, config.projector, teacherState);
    const sum = { top1: 0, top5: 0, control: 0, weight: 0 };
    try {
      for (let at = 0; at < images.paths.length; at += size) {
        options.signal?.throwIfAborted();
        const paths = images.paths.slice(at, at + size);
        if (paths.length < 2) break; // BatchNorm and the control need company
        const input = stack(
          await Promise.all(paths.map((p) => centreImage(p, config.model.image_size, config.augment))),
        );
        const mask = new Float32Array(paths.length * K);
        for (let i = 0; i < paths.length; i++) {
          const size = {
            grid: gridOf(config.model),
            patchSize: config.model.patch_size,
            imageSize: config.model.image_size,
          };
          mask.set(makeMask(config.mask, size, stream(MASK_SEED, 0, at + i, 'evaluation mask')), i * K);
        }
        const tensors = [
          student.features(input, mask, 'batch'),
          teacher.features(input, null, 'batch'),
          tf.tensor2d(mask, [paths.length, K]),
        ] as const;
        const found = lookup(...tensors, config.contrast);
        tf.dispose([...tensors]);
        sum.top1 += found.top1 * paths.length;
        sum.top5 += found.top5 * paths.length;
        sum.control += (found.top1_control ?? 0) * paths.length;
        sum.weight += paths.length;
        done += paths.length;
        options.onProgress?.(done, 2 * images.paths.length, `${which} network`);
      }
    } finally {
      student.dispose();
      teacher.dispose();
    }
    scores[which] = {
      top1: sum.top1 / sum.weight,
      top5: sum.top5 / sum.weight,
      top1_control: sum.control / sum.weight,
    };
  }
  return {
    ...describe(store, checkpoint, options),
    train_images: 0,
    test_images: images.paths.length,
    classes: null,
    chance: 1 / (config.contrast.dictionary === 'image' ? K : K * size),
    trained: scores.trained!,
    untrained: scores.untrained!,
    settings: {
      K,
      held_out: own,
      views: 'middle square, not augmented',
      batch_norm: `statistics of batches of ${size}`,
      mask: config.mask,
    },
  };
}

function describe(store: Store, checkpoint: Checkpoint, options: EvaluateOptions) {
  const dataset = store.datasets.get(options.dataset).name;
  return {
    task: options.task,
    checkpoint: { id: checkpoint.id, run_id: checkpoint.run_id, step: checkpoint.step },
    dataset,
    test_dataset: options.testDataset === undefined ? dataset : store.datasets.get(options.testDataset).name,
  };
}

function usable(
  store: Store,
  name: string | number,
  keep: (image: ImageRow) => boolean,
): Labelled & { hashes: string[] } {
  const dataset = store.datasets.get(name);
  const found: Labelled & { hashes: string[] } = { paths: [], labels: [], hashes: [] };
  for (const image of store.images.iterate(dataset.id, { status: 'ok' })) {
    if (!keep(image)) continue;
    found.paths.push(join(dataset.folders[image.folder]!, image.path));
    found.labels.push(image.label ?? '');
    found.hashes.push(image.hash);
  }
  return found;
}

function splitLabelled(store: Store, options: EvaluateOptions): { train: Labelled; test: Labelled } {
  const labelled = (image: ImageRow) => image.label !== null;
  const train = usable(store, options.dataset, labelled);
  if (train.paths.length === 0) {
    throw new AppError(
      'bad-input',
      'The dataset has no class folders.',
      '',
      'Import it with --labels folders, one folder a class.',
    );
  }
  if (options.testDataset !== undefined) return { train, test: usable(store, options.testDataset, labelled) };
  const parts = { train: { paths: [], labels: [] } as Labelled, test: { paths: [], labels: [] } as Labelled };
  for (const label of new Set(train.labels)) {
    const members = train.labels.flatMap((l, i) => (l === label ? [i] : []));
    const order = (i: number) => createHash('sha256').update(`split ${train.hashes[i]}`).digest('hex');
    const sorted = members.map((i) => [order(i), i] as const).sort(([a], [b]) => (a < b ? -1 : 1));
    const held = Math.max(1, Math.round(sorted.length * TEST_SHARE));
    for (const [n, [, i]] of sorted.entries()) {
      if (sorted.length < 2 && n < held) continue; // a single image cannot be on both sides
      const part = n < held ? parts.test : parts.train;
      part.paths.push(train.paths[i]!);
      part.labels.push(label);
    }
  }
  return parts;
}

async function extractFeatures(
  network: FrozenNetwork,
  paths: string[],
  config: RunConfig,
  options: EvaluateOptions,
  onDone: (n: number) => void,
) {
  const dim = config.model.embed_dim;
  const K = patchesOf(config.model);
  const out = { cls: new Float32Array(paths.length * dim), mean: new Float32Array(paths.length * dim) };
  for (let at = 0; at < paths.length; at += BATCH) {
    options.signal?.throwIfAborted();
    const some = paths.slice(at, at + BATCH);
    const input = stack(await Promise.all(some.map((p) => centreImage(p, config.model.image_size, config.augment))));
    const tokens = network.tokens(input);
    for (let i = 0; i < some.length; i++) {
      const start = i * (K + 1) * dim;
      out.cls.set(tokens.subarray(start, start + dim), (at + i) * dim);
      for (let p = 1; p <= K; p++) {
        for (let d = 0; d < dim; d++) out.mean[(at + i) * dim + d]! += tokens[start + p * dim + d]! / K;
      }
    }
    onDone(at + some.length);
  }
  return out;
}
