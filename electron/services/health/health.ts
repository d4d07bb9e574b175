import { lookupsIn } from '../../../methods/index.ts';
import { patchesOf } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import { type LeftOut, leftOutWords } from '../../../shared/left-out.ts';
import { type ImageReader, onReadable } from '../../data/readable.ts';
import { hostCopy } from '../../engine/host.ts';
import type { Store } from '../../store/store.ts';
import { featureHealth } from '../../trainer/feature-health.ts';
import { poolTokens } from '../evaluation/classes.ts';
import { contestants } from '../evaluation/contestants.ts';
import { askBatches, heldOutImages } from '../evaluation/lookups.ts';
import {
  alignment,
  DEAD,
  placeShare,
  positionShortcut,
  relativeDeviations,
  toUnitRows,
  uniformity,
} from './measures.ts';

/** Figures of a set of features of unit length. */
export interface SetHealth {
  width: number;
  /** Features that were looked at. */
  rows: number;
  rank: number;
  cosine: number;
  uniformity: number;
  /** Dimensions that vary less than a tenth of what an even spread has. */
  dead: number;
  /** `[width]`, the largest first. */
  singular: number[];
  deviations: number[];
}

export interface NetworkHealth {
  /** The teacher's keys: projector, all patches. */
  keys: SetHealth;
  /** The student's mean-pooled patch tokens: what k-NN and probes take. */
  images: SetHealth;
  alignment: number;
  top1: number;
  control: number;
  position_shortcut: number | null;
  place_share: number;
}

export interface HealthReport {
  checkpoint: { id: number; run_id: number; step: number };
  run: string;
  dataset: string;
  images: number;
  held_out: boolean;
  /** Of those that were to be looked at, the ones that could not be read. */
  left_out: LeftOut[];
  K: number;
  /** Of a look-up. */
  chance: number;
  /** Place share of keys that have nothing to do with their place. */
  place_share_chance: number;
  trained: NetworkHealth;
  untrained: NetworkHealth;
}

/** Images that say anything of health, at least. */
const LEAST = 4;

const tooFew = (leftOut: readonly LeftOut[]) =>
  new AppError(
    'bad-input',
    'Four images are the least that say anything of health.',
    leftOutWords(leftOut, leftOut.length),
    'Choose a dataset with more images, or ask for more.',
  );

/** Images that are looked at unless more are asked for. */
export const HEALTH_IMAGES = 256;

/**
 * Looks for collapse and short cuts in a checkpoint, beside its untrained network. Needs a backend to be set.
 * @param most images at most, spread evenly; those that were held out, where the run kept some of this dataset
 * @throws AppError not-found; bad-input for fewer than four images
 */
export async function measureHealth(
  store: Store,
  ask: { checkpoint: number; dataset: string | number; images?: number },
  onProgress?: (done: number, total: number, what: string) => void,
  signal?: AbortSignal,
): Promise<HealthReport> {
  const checkpoint = store.checkpoints.get(ask.checkpoint);
  const { config } = checkpoint;
  const { images: all, own } = heldOutImages(store, checkpoint, ask.dataset);
  const most = Math.min(all.length, ask.images ?? HEALTH_IMAGES);
  if (most < LEAST) throw tooFew([]);
  const images = Array.from({ length: most }, (_, i) => all[Math.floor((i * all.length) / most)]!);
  const [K, out] = [patchesOf(config.model), lookupsIn(checkpoint).projector.out];
  const within = { dictionary: 'image' } as const;
  const chance = 1 / K;
  const networks = contestants(store, checkpoint, null);
  const measure = async (reader: ImageReader) => {
    const found: Partial<Record<string, NetworkHealth>> = {};
    let seen = 0;
    for (const [i, { start, load }] of networks.entries()) {
      const parts = { keys: [] as Float32Array[], pooled: [] as Float32Array[] };
      const pairs = { queries: [] as Float32Array[], keys: [] as Float32Array[] };
      const sum = await askBatches(
        config,
        load('student'),
        load('teacher'),
        images,
        reader,
        signal,
        (batch, done) => {
          const [queries, keys] = [hostCopy(batch.queries), hostCopy(batch.keys)];
          parts.keys.push(keys);
          parts.pooled.push(poolTokens(batch.student.tokens(batch.input), batch.size, K, config.model.embed_dim).mean);
          batch.mask.forEach((masked, patch) => {
            if (!masked) return;
            pairs.queries.push(queries.subarray(patch * out, (patch + 1) * out));
            pairs.keys.push(keys.subarray(patch * out, (patch + 1) * out));
          });
          onProgress?.(i * images.length + done, 2 * images.length, `${start} network`);
        },
        within,
      );
      reader.settle();
      if (sum.images < LEAST) throw tooFew(reader.leftOut);
      const keys = joined(parts.keys);
      seen = sum.images;
      found[start] = {
        keys: setHealth(keys, out),
        images: setHealth(toUnitRows(joined(parts.pooled), config.model.embed_dim), config.model.embed_dim),
        alignment: alignment(joined(pairs.queries), joined(pairs.keys), out),
        top1: sum.top1,
        control: sum.control,
        position_shortcut: positionShortcut(sum.top1, sum.control, chance),
        place_share: placeShare(keys, K, out),
      };
    }
    return { found, seen };
  };
  const { value, leftOut } = await onReadable(measure);
  const { found, seen } = value;
  return {
    checkpoint: { id: checkpoint.id, run_id: checkpoint.run_id, step: checkpoint.step },
    run: store.runs.get(checkpoint.run_id).name,
    dataset: store.datasets.get(ask.dataset).name,
    images: seen,
    held_out: own,
    left_out: leftOut,
    K,
    chance,
    place_share_chance: (K - 1) / (seen * K - 1),
    trained: found.trained!,
    untrained: found.untrained!,
  };
}

function setHealth(features: Float32Array, width: number): SetHealth {
  const { rank, cosine, singular, variance } = featureHealth(features, width);
  const deviations = relativeDeviations(variance);
  return {
    ...{ width, rows: features.length / width, rank, cosine },
    uniformity: uniformity(features, width),
    dead: deviations.filter((d) => d < DEAD).length,
    ...{ singular, deviations },
  };
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
