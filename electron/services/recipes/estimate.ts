import { methodOf } from '../../../methods/index.ts';
import { patchesOf, type RunConfig } from '../../../shared/config.ts';
import type { Cost, SizeCost } from '../../../shared/contract/recipes.ts';
import { bytes } from '../../../shared/words.ts';
import { stepsOf, stepsPerEpoch } from '../../trainer/training-images.ts';
import { runJob } from '../ground/jobs.ts';
import { adviceFor, checkpointBytes, loaderMemory, machineMemory, requireMemory } from './memory-need.ts';

/** Micro-batches are measured with at most so many patches in all, so that measuring a large model ends too. */
const MOST_PATCHES = 4096;

/**
 * Time, memory and disk of a run on this machine, from a few measured steps on random images in a process of its own.
 * @throws AppError out-of-memory where it cannot fit
 */
export async function estimateCost(config: RunConfig, images: number, signal?: AbortSignal): Promise<Cost> {
  requireMemory(config);
  const { batch_size, accumulation } = config.train;
  const sizes = sizesFor(config);
  const measured = await runJob('estimate', { config, sizes }, { ...(signal && { signal }) });
  const largest = measured.at(-1)!;
  const images_per_s = largest.batch / largest.seconds;
  const perEpoch = stepsPerEpoch(images, config);
  const steps = config.train.steps ?? stepsOf(config.train.epochs, perEpoch);
  const peak_memory = peakOf(measured, config) + loaderMemory(config);
  const memory = machineMemory();
  const of = sizes.join(' and ');
  const memoryHow =
    largest.batch < batch_size ? `memory of ${batch_size} images extrapolated from ${of}` : `memory measured at ${of}`;
  return {
    seconds: (steps * batch_size * accumulation) / images_per_s,
    images_per_s,
    flops_per_image: largest.flops,
    peak_memory,
    checkpoint_bytes: checkpointBytes(config),
    steps,
    how: `estimated from 2 measured steps of ${largest.batch} images after a warm-up step, without the loader; ${memoryHow}, with what the loader holds`,
    warning:
      memory !== null && peak_memory > memory
        ? `It needs about ${bytes(peak_memory, 3)} of memory, and there is ${bytes(memory, 3)}. ${adviceFor(config, memory)}`
        : null,
  };
}

/** Sizes of micro-batches that are measured: a second one where the run's own is too large. */
export function sizesFor({ model, train }: RunConfig): number[] {
  const largest = Math.max(2, Math.min(train.batch_size, Math.floor(MOST_PATCHES / patchesOf(model))));
  return largest === train.batch_size ? [largest] : [Math.max(1, Math.floor(largest / 2)), largest];
}

/**
 * Peak memory of steps on the run's own micro-batch. Each further image takes the same, but for logits where every image
 * brings keys for all, which grow with its square.
 */
export function peakOf(measured: readonly SizeCost[], config: RunConfig): number {
  const { model, train } = config;
  const { lookups } = methodOf(config);
  const keysAt = (batch_size: number) => lookups?.keys({ ...config, train: { ...train, batch_size } }) ?? 0;
  const isBatch = keysAt(2) > keysAt(1);
  const K = patchesOf(model);
  const square = (batch: number) => (isBatch ? LOGITS * 4 * (batch * K) ** 2 : 0);
  const linear = measured.map(({ batch, peak }) => ({ batch, peak: peak - square(batch) }));
  const [first, last] = [linear[0]!, linear.at(-1)!];
  if (last.batch === train.batch_size) return measured.at(-1)!.peak;
  const slope = Math.max(0, (last.peak - first.peak) / (last.batch - first.batch));
  return last.peak + slope * (train.batch_size - last.batch) + square(train.batch_size);
}

/** Arrays of the size of the logits that a step has at once, as measured: logits, probabilities, and what ranks are made of. */
const LOGITS = 5;
