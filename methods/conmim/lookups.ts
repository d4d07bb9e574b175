import * as tf from '@tensorflow/tfjs-core';
import { encode } from '../../electron/engine/encoder.ts';
import { requireFiniteTensor } from '../../electron/engine/finite.ts';
import { projectorHead } from '../../electron/engine/heads.ts';
import { hostTidy } from '../../electron/engine/host.ts';
import { all, replace } from '../../electron/engine/layers/embed.ts';
import { project } from '../../electron/engine/layers/head.ts';
import { patches, unit } from '../../electron/engine/layers/tokens.ts';
import type { LookupBatch, LookupNetworks, Lookups, LookupTally } from '../../electron/engine/lookups.ts';
import type { Network } from '../../electron/engine/network.ts';
import { patchesOf, type RunConfig } from '../../shared/config.ts';
import type { LookupAccuracy, LookupView } from '../../shared/contract/explore.ts';
import { type LookupConfig, ours } from './config.ts';
import { dictionaryLogits, lookup, lookupRanks, nextImages } from './contrast.ts';

/** A batch, and what the teacher sees where that is another view of the images. */
interface Asked extends LookupBatch {
  full?: Float32Array;
}

/**
 * What is compared: the student's queries, of masked images, and the teacher's keys of the whole ones, `[batch, K, out]` of
 * unit length. BatchNorm takes the batch's statistics, as in training: an untrained network has no running ones, and is
 * held beside. The caller owns both.
 */
export function queriesAndKeys(
  { student, teacher }: LookupNetworks,
  { images, masks, full = images }: Asked,
  { model, projector }: LookupConfig,
): { queries: tf.Tensor3D; keys: tf.Tensor3D } {
  const head = projectorHead(model.embed_dim, projector);
  const features = (network: Network, seen: ReturnType<typeof all>) =>
    tf.tidy(() => {
      const { tensor } = unit(patches(project(network, head, encode(network, seen), 'batch')));
      return requireFiniteTensor(tensor, 'The features of the network');
    });
  const queries = features(student, replace(images, joined(masks)));
  return { queries, keys: features(teacher, all(full)) };
}

/** `[batch, K]` */
export function joined(masks: readonly Uint8Array[]): Float32Array {
  const K = masks[0]!.length;
  const mask = new Float32Array(masks.length * K);
  masks.forEach((one, i) => {
    mask.set(one, i * K);
  });
  return mask;
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

/** The look-ups of a batch, each among the keys of its own image, whatever the run's dictionary was. */
export function ask(networks: LookupNetworks, batch: Asked, config: LookupConfig): LookupAnswers {
  const within = { ...config.contrast, dictionary: 'image' } as const;
  const { queries, keys } = queriesAndKeys(networks, batch, config);
  const chances = hostTidy(() => tf.softmax(dictionaryLogits(queries, keys, within)));
  const ranks = hostTidy(() => lookupRanks(queries, keys, within));
  const controlRanks = hostTidy(() => lookupRanks(queries, nextImages(keys), within));
  tf.dispose([queries, keys]);
  return { K: patchesOf(config.model), chances, ranks, controlRanks };
}

/** The key that a query finds most likely, and its probability. @param query place in `[batch, K]` */
export function bestOf({ K, chances }: LookupAnswers, query: number): { patch: number; probability: number } {
  const own = chances.subarray(query * K, (query + 1) * K);
  let patch = 0;
  for (let i = 1; i < K; i++) if (own[i]! > own[patch]!) patch = i;
  return { patch, probability: own[patch]! };
}

const TEN_THOUSANDTHS = 10_000;

/** A look-up as the window has it. @param query place in `[batch, K]` */
export function answerOf(
  { K, chances, ranks, controlRanks }: LookupAnswers,
  query: number,
): LookupView['answers'][number] {
  const own = [...chances.subarray(query * K, (query + 1) * K)];
  const order = [...own.keys()].sort((a, b) => own[b]! - own[a]!);
  return {
    patch: query % K,
    rank: 1 + ranks[query]!,
    control_rank: 1 + controlRanks[query]!,
    top5: order.slice(0, 5),
    chances: own.map((p) => Math.round(p * TEN_THOUSANDTHS)),
    entropy: own.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0),
  };
}

const maskedIn = (mask: Uint8Array) => [...mask.keys()].filter((patch) => mask[patch]);

/** ConMIM's look-ups (arXiv 2205.09616, eq. 3): a masked patch's query among the keys of its image. */
export const lookups: Lookups<RunConfig> = {
  view(networks, batch, config) {
    const [own] = batch.masks as [Uint8Array];
    const company = batch.masks.length - 1;
    const answers = ask(networks, batch, ours(config));
    return {
      temperature: ours(config).contrast.temperature,
      answers: maskedIn(own).map((patch) => answerOf(answers, patch)),
      how:
        company > 0
          ? `The image's middle square; BatchNorm's statistics are of it and ${company} fixed images of the run's ` +
            'data. The control asks for the keys of the first of these.'
          : "The image's middle square alone: BatchNorm's statistics are of its own patches, and there is no control.",
    };
  },

  answers(networks, batch, config) {
    const answers = ask(networks, batch, ours(config));
    return batch.masks.map((mask, i) =>
      maskedIn(mask).map((patch) => {
        const query = i * answers.K + patch;
        const best = bestOf(answers, query);
        return { patch, best: best.patch, rank: 1 + answers.ranks[query]!, probability: best.probability };
      }),
    );
  },

  score(networks, batch, config) {
    const { queries, keys } = queriesAndKeys(networks, batch, ours(config));
    const { top1, top5, top1_control } = lookup(queries, keys, joined(batch.masks), ours(config).contrast);
    tf.dispose([queries, keys]);
    return { top1, top5, top1_control: top1_control ?? 0 };
  },

  settings: (config, batch) => ({ batch_norm: `statistics of batches of ${batch}`, mask: ours(config).mask }),

  tally: (config) => new Tally(ours(config)),
};

/** Standard deviation of a patch's brightness, 0 to 255: how much happens in it. */
function richness(rgb: Uint8Array, { image_size: side, patch_size: size }: RunConfig['model'], patch: number): number {
  const grid = side / size;
  const [x0, y0] = [(patch % grid) * size, Math.floor(patch / grid) * size];
  let [sum, squares] = [0, 0];
  for (let y = y0; y < y0 + size; y++) {
    for (let x = x0; x < x0 + size; x++) {
      const at = (y * side + x) * 3;
      const value = 0.299 * rgb[at]! + 0.587 * rgb[at + 1]! + 0.114 * rgb[at + 2]!;
      sum += value;
      squares += value * value;
    }
  }
  const n = size * size;
  return Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2));
}

/** Counts answers that are right, by place and by how much happens in a patch; of the untrained network over all. */
class Tally implements LookupTally {
  readonly #config: LookupConfig;
  readonly #places: { right: number; control: number; n: number }[];
  readonly #all: { richness: number; right: boolean; control: boolean }[] = [];
  readonly #untrained = { right: 0, control: 0, n: 0 };

  constructor(config: LookupConfig) {
    this.#config = config;
    this.#places = Array.from({ length: patchesOf(config.model) }, () => ({ right: 0, control: 0, n: 0 }));
  }

  add(
    networks: Record<'trained' | 'untrained', LookupNetworks>,
    batch: LookupBatch,
    pixels: readonly Uint8Array[],
  ): void {
    const [trained, untrained] = [networks.trained, networks.untrained].map((pair) => ask(pair, batch, this.#config));
    batch.masks.forEach((mask, i) => {
      for (const patch of maskedIn(mask)) {
        const query = i * mask.length + patch;
        const [right, control] = [trained!.ranks[query] === 0, trained!.controlRanks[query] === 0];
        this.#all.push({ richness: richness(pixels[i]!, this.#config.model, patch), right, control });
        count(this.#places[patch]!, right, control);
        count(this.#untrained, untrained!.ranks[query] === 0, untrained!.controlRanks[query] === 0);
      }
    });
  }

  result(): Pick<LookupAccuracy, 'places' | 'content' | 'trained' | 'untrained'> {
    const sorted = this.#all.sort((a, b) => a.richness - b.richness);
    const share = (some: typeof sorted, key: 'right' | 'control') =>
      some.filter((one) => one[key]).length / some.length;
    const quarter = (q: number) =>
      sorted.slice(Math.floor((q * sorted.length) / 4), Math.floor(((q + 1) * sorted.length) / 4));
    const { right, control, n } = this.#untrained;
    return {
      places: this.#places.map(({ right, control, n }) => ({
        top1: n > 0 ? right / n : null,
        control: n > 0 ? control / n : null,
        n,
      })),
      content: [0, 1, 2, 3].map(quarter).flatMap((some) =>
        some.length === 0
          ? []
          : [
              {
                from: some[0]!.richness,
                to: some.at(-1)!.richness,
                top1: share(some, 'right'),
                control: share(some, 'control'),
                n: some.length,
              },
            ],
      ),
      trained: { top1: share(sorted, 'right'), control: share(sorted, 'control') },
      untrained: { top1: right / n, control: control / n },
    };
  }
}

function count(of: { right: number; control: number; n: number }, isRight: boolean, isControlRight: boolean): void {
  of.n++;
  if (isRight) of.right++;
  if (isControlRight) of.control++;
}
