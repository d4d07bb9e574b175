import * as tf from '@tensorflow/tfjs-core';
import { patchesOf } from '../../../shared/config.ts';
import type { LookupConfig } from '../../../shared/method.ts';
import type { StateDict } from '../../../shared/tensors.ts';
import { dictionaryLogits, lookupRanks } from '../../engine/contrast.ts';
import { hostTidy } from '../../engine/host.ts';
import { FrozenNetwork } from '../../engine/inference.ts';

/** Student and teacher of a checkpoint, ready to be asked. Borrows both. */
export class LookupPair {
  readonly config: Pick<LookupConfig, 'model' | 'projector' | 'contrast'>;
  readonly #student: FrozenNetwork;
  readonly #teacher: FrozenNetwork;

  constructor(
    config: Pick<LookupConfig, 'model' | 'projector' | 'contrast'>,
    { student, teacher }: { student: FrozenNetwork; teacher: FrozenNetwork },
  ) {
    this.config = config;
    this.#student = student;
    this.#teacher = teacher;
  }

  /**
   * The look-ups of a batch: the student's queries, of masked images, among the teacher's keys of the whole image.
   * BatchNorm takes the batch's statistics, as in training, so images keep each other company.
   * @param images `[batch, side, side, 3]`, normalised
   * @param masks each `[K]`, 1 = masked
   * @param full what the teacher sees, where that is another view of the images
   */
  ask(images: Float32Array, masks: readonly Uint8Array[], full = images): LookupAnswers {
    const K = patchesOf(this.config.model);
    const mask = new Float32Array(masks.length * K);
    masks.forEach((one, i) => {
      mask.set(one, i * K);
    });
    // The picture that is read is of one image, whatever the run's dictionary was.
    const within = { ...this.config.contrast, dictionary: 'image' } as const;
    const queries = this.#student.features(images, mask, 'batch');
    const keys = this.#teacher.features(full, null, 'batch');
    const chances = hostTidy(() => tf.softmax(dictionaryLogits(queries, keys, within)));
    const ranks = hostTidy(() => lookupRanks(queries, keys, within));
    const controlRanks = hostTidy(() => {
      const batch = masks.length;
      const others = batch > 1 ? tf.concat([tf.slice(keys, [1], [batch - 1]), tf.slice(keys, [0], [1])]) : keys;
      return lookupRanks(queries, others as tf.Tensor3D, within);
    });
    tf.dispose([queries, keys]);
    return { K, chances, ranks, controlRanks };
  }
}

/** Does something with the networks of these states, which are loaded for it alone. */
export function withLookupPair<T>(
  config: Pick<LookupConfig, 'model' | 'projector' | 'contrast'>,
  states: { student: StateDict; teacher: StateDict },
  act: (pair: LookupPair) => T,
): T {
  const load = (state: StateDict) => new FrozenNetwork(config.model, config.projector, state);
  const [student, teacher] = [load(states.student), load(states.teacher)];
  try {
    return act(new LookupPair(config, { student, teacher }));
  } finally {
    student.dispose();
    teacher.dispose();
  }
}

/** Answers of a batch, `batch * K` queries one after the other; those of patches that were not masked mean nothing. */
export interface LookupAnswers {
  K: number;
  /** Probability of each of the K keys: `[batch, K, K]`. */
  chances: Float32Array;
  /** Rank of the right key, 0 = found: `[batch, K]`. */
  ranks: Float32Array;
  /** The same among the keys of the next image of the batch: what position alone gives. */
  controlRanks: Float32Array;
}

/** The key that a query finds most likely, and its probability. @param query place in `[batch, K]` */
export function bestOf({ K, chances }: LookupAnswers, query: number): { patch: number; probability: number } {
  const own = chances.subarray(query * K, (query + 1) * K);
  let patch = 0;
  for (let i = 1; i < K; i++) if (own[i]! > own[patch]!) patch = i;
  return { patch, probability: own[patch]! };
}
