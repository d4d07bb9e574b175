import * as tf from '@tensorflow/tfjs-core';
import { gridOf, patchesOf, type RunConfig } from '../../shared/config.ts';
import type { StateDict } from '../../shared/domain.ts';
import { AppError } from '../../shared/errors.ts';
import { makeMask } from '../../shared/masking.ts';
import { stream } from '../data/random.ts';
import { lookup } from '../engine/contrast.ts';
import { FrozenNetwork } from '../engine/inference.ts';
import { projectorIndex } from '../engine/parameters.ts';
import type { Store } from '../store/store.ts';
import { usableImages } from '../trainer/labelled.ts';
import { isHeldOut } from '../trainer/training.ts';
import type { Contestant } from './contestants.ts';
import type { EvaluateOptions, Measured, Scores } from './evaluation.ts';
import { centreImage, stack } from './images.ts';

/** Seed of the masks of an evaluation: fixed, so that checkpoints are asked the same. */
const MASK_SEED = 20220519;
const MOST_IMAGES = 64;

/** Look-ups of networks on images that they did not train on, where the run kept some. */
export async function evaluateLookups(
  store: Store,
  networks: readonly Contestant[],
  options: EvaluateOptions,
): Promise<Measured> {
  const [{ checkpoint, config }] = networks as [Contestant];
  const dataset = store.datasets.get(options.dataset);
  const own = store.runs.get(checkpoint.run_id).dataset_id === dataset.id && config.data.holdout > 0;
  const { paths } = usableImages(store, dataset.id, (image) => !own || isHeldOut(image, config.data.holdout));
  if (paths.length < 2)
    throw new AppError(
      'bad-input',
      'A look-up on held-out images needs at least two of them.',
      '',
      'Name a dataset with more images.',
    );
  const scores: Measured['scores'] = {};
  const chances: Partial<Record<Contestant['start'], number>> = {};
  for (const [i, { start, config, load }] of networks.entries()) {
    const student = load('student');
    if (!hasProjector(student, config)) continue; // weights without one have no keys to look among
    scores[start] = await lookUp(config, student, load('teacher'), paths, options.signal, (done) =>
      options.onProgress?.(i * paths.length + done, networks.length * paths.length, `${start} network`),
    );
    chances[start] = chanceIn(config);
  }
  return {
    train_images: 0,
    test_images: paths.length,
    classes: null,
    chance: chances.trained!,
    scores,
    settings: {
      K: patchesOf(config.model),
      held_out: own,
      views: 'middle square, not augmented',
      batch_norm: `statistics of batches of ${batchOf(config)}`,
      mask: config.mask,
      // Another model may have another K.
      ...(chances.official !== undefined && { chance_official: chances.official }),
    },
  };
}

const batchOf = ({ train }: RunConfig) => Math.min(train.batch_size, MOST_IMAGES);

const chanceIn = (config: RunConfig) =>
  1 / (patchesOf(config.model) * (config.contrast.dictionary === 'image' ? 1 : batchOf(config)));

/** Weights of a fine-tuned file have none: importing puts zeros in its place. */
const hasProjector = (state: StateDict, { projector }: RunConfig) =>
  state.get(`projectors.${projectorIndex(projector.layers - 1).linear}.weight`)!.data.some((v) => v !== 0);

async function lookUp(
  config: RunConfig,
  studentState: StateDict,
  teacherState: StateDict,
  paths: readonly string[],
  signal: AbortSignal | undefined,
  onDone: (images: number) => void,
): Promise<Scores> {
  const { model } = config;
  const [K, size] = [patchesOf(model), batchOf(config)];
  const shape = { grid: gridOf(model), patchSize: model.patch_size, imageSize: model.image_size };
  const student = new FrozenNetwork(model, config.projector, studentState);
  const teacher = new FrozenNetwork(model, config.projector, teacherState);
  const sum = { top1: 0, top5: 0, control: 0, weight: 0 };
  try {
    for (let at = 0; at < paths.length; at += size) {
      signal?.throwIfAborted();
      const some = paths.slice(at, at + size);
      if (some.length < 2) break; // BatchNorm and the control need company
      const input = stack(await Promise.all(some.map((path) => centreImage(path, model.image_size, config.augment))));
      const mask = new Float32Array(some.length * K);
      some.forEach((_, i) => {
        mask.set(makeMask(config.mask, shape, stream(MASK_SEED, 0, at + i, 'evaluation mask')), i * K);
      });
      const tensors = [
        student.features(input, mask, 'batch'),
        teacher.features(input, null, 'batch'),
        tf.tensor2d(mask, [some.length, K]),
      ] as const;
      const found = lookup(...tensors, config.contrast);
      tf.dispose([...tensors]);
      sum.top1 += found.top1 * some.length;
      sum.top5 += found.top5 * some.length;
      sum.control += (found.top1_control ?? 0) * some.length;
      sum.weight += some.length;
      onDone(sum.weight);
    }
  } finally {
    student.dispose();
    teacher.dispose();
  }
  return { top1: sum.top1 / sum.weight, top5: sum.top5 / sum.weight, top1_control: sum.control / sum.weight };
}
