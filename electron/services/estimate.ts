import { patchesOf, type RunConfig } from '../../shared/config.ts';
import type { Cost } from '../../shared/ipc.ts';
import { parameterSpecs, sizeOf } from '../engine/parameters.ts';
import { stepsOf, stepsPerEpoch } from '../trainer/training-images.ts';
import { type Measured, runJob } from './jobs.ts';

/** Micro-batches are measured with at most so many patches of all images together, so that a large model ends too. */
const MOST_PATCHES = 4096;

/** Time, memory and disk of a run on this machine, from a few measured steps on random images in a process of its own. */
export async function estimateCost(config: RunConfig, images: number, signal?: AbortSignal): Promise<Cost> {
  const batch = Math.max(2, Math.min(config.train.batch_size, Math.floor(MOST_PATCHES / patchesOf(config.model))));
  const measured = await runJob<Measured>({ kind: 'estimate', config, batch }, { ...(signal && { signal }) });
  const perEpoch = stepsPerEpoch(images, config);
  const steps = config.train.steps ?? stepsOf(config.train.epochs, perEpoch);
  const size = parameterSpecs(config.model, config.projector).reduce((sum, s) => sum + sizeOf(s.shape), 0);
  return {
    seconds: (steps * config.train.batch_size * config.train.accumulation) / measured.images_per_s,
    images_per_s: measured.images_per_s,
    peak_memory: measured.peak_memory,
    checkpoint_bytes: 4 * 4 * size, // student, teacher and two moments, float32
    steps,
    how: `estimated from 2 measured steps of ${batch} images after a warm-up step, without the loader`,
  };
}
