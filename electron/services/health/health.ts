import { healthOf } from '../../../methods/health.ts';
import { methodOf, networksOf, requireLookups, requireWhole } from '../../../methods/index.ts';
import { patchesOf } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import {
  type Finding,
  type HealthReport,
  imagesApart,
  type NetworkHealth,
  type SetHealth,
} from '../../../shared/health.ts';
import { type LeftOut, leftOutWords } from '../../../shared/left-out.ts';
import { type ImageReader, onReadable } from '../../data/readable.ts';
import { concatenated, type HealthNetworks, toUnitRows } from '../../engine/health.ts';
import { tokensOf } from '../../engine/inference.ts';
import { poolTokens } from '../../engine/pooled.ts';
import type { Store } from '../../store/store.ts';
import { featureHealth } from '../../trainer/feature-health.ts';
import { uniformity } from '../../trainer/spectrum.ts';
import { heldOutImages, inBatches } from '../evaluation/batches.ts';
import { contestants } from '../evaluation/contestants.ts';
import { wholeNetwork } from '../ground/networks.ts';
import { DEAD, relativeDeviations } from './measures.ts';

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
  if (methodOf(config).lookups) requireLookups(checkpoint);
  else requireWhole(checkpoint, 'health report');
  const health = await healthOf(config);
  const [K, width] = [patchesOf(config.model), config.model.embed_dim];
  const networks = contestants(store, checkpoint, null);
  const measure = async (reader: ImageReader) => {
    const found: Partial<Record<string, NetworkHealth>> = {};
    let references = {};
    let seen = 0;
    for (const [i, { start, load }] of networks.entries()) {
      const student = wholeNetwork(config, load('student'));
      const teacher = networksOf(config).includes('teacher') ? wholeNetwork(config, load('teacher'), 'teacher') : null;
      const asked: HealthNetworks = { student, teacher };
      const pooled: Float32Array[] = [];
      const judged = health?.measure(config);
      seen = 0;
      try {
        for await (const batch of inBatches(config, images, reader, health?.together ?? 1)) {
          signal?.throwIfAborted();
          const size = batch.masks.length;
          judged?.add(asked, batch);
          pooled.push(poolTokens(tokensOf(student, batch.images), size, K, width).mean);
          seen += size;
          onProgress?.(i * images.length + seen, 2 * images.length, `${start} network`);
        }
      } finally {
        student.dispose();
        teacher?.dispose();
      }
      if (seen < LEAST) throw tooFew(reader.leftOut);
      reader.settle();
      const own = judged?.result();
      const sets = Object.entries(own?.sets ?? {}).map(([key, set]) => [key, setHealth(set.features, set.width)]);
      found[start] = {
        sets: { ...Object.fromEntries(sets), images: setHealth(toUnitRows(concatenated(pooled), width), width) },
        figures: own?.figures ?? {},
      };
      // What figures are held against follows from the images: it is the same of both networks.
      references = own?.references ?? {};
    }
    return { found, seen, references };
  };
  const { value, leftOut } = await onReadable(measure);
  const { found, seen, references } = value;
  return {
    checkpoint: { id: checkpoint.id, run_id: checkpoint.run_id, step: checkpoint.step },
    run: store.runs.get(checkpoint.run_id).name,
    dataset: store.datasets.get(ask.dataset).name,
    images: seen,
    held_out: own,
    left_out: leftOut,
    K,
    references,
    trained: found.trained!,
    untrained: found.untrained!,
  };
}

/** What the figures of a report say, in words. */
export async function findingsOf(store: Store, report: HealthReport): Promise<Finding[]> {
  const { config } = store.checkpoints.get(report.checkpoint.id);
  return (await healthOf(config))?.findings(report, config) ?? [imagesApart(report, '')];
}

function setHealth(features: Float32Array, width: number): SetHealth {
  const { rank, cosine, singular, variance } = featureHealth(features, width);
  const deviations = relativeDeviations(variance);
  return {
    width,
    rows: features.length / width,
    rank,
    cosine,
    uniformity: uniformity(features, width),
    dead: deviations.filter((d) => d < DEAD).length,
    singular,
    deviations,
  };
}
