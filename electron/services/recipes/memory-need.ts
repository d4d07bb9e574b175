import { existsSync } from 'node:fs';
import { availableParallelism, platform, totalmem } from 'node:os';
import { methodOf } from '../../../methods/index.ts';
import { networkOf } from '../../../methods/networks.ts';
import { patchesOf, type RunConfig } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import { bytes } from '../../../shared/words.ts';
import { sizeOf } from '../../engine/parameters.ts';
import { maskedPatches } from '../../trainer/plan-notices.ts';

const FLOAT = 4;
/** Student, teacher, two moments of the optimizer, and the gradients. */
const COPIES = 5;
/** Widths of a token that a block keeps for the way back: x, middle, attended, projected, mlp, and qkv (engine/layers/block.ts). */
const KEPT_WIDTHS = 8;
/** A thread that decodes: its own heap, its decoder, and an image. */
const THREAD = 40e6;

/**
 * The least memory of a training step, bytes: weights, gradients and moments, what the encoder's blocks keep of a
 * micro-batch for the way back, and the look-ups' logits. A step takes more; where this does not fit, the run cannot.
 */
export function leastMemory(config: RunConfig): number {
  const { model, train } = config;
  const method = methodOf(config);
  const parameters = parametersOf(config);
  const K = patchesOf(model);
  const value = train.mixed_precision === 'off' ? FLOAT : FLOAT / 2;
  const widths = train.recompute ? 1 : KEPT_WIDTHS + model.mlp_ratio;
  const seen = method.removesHidden ? K - maskedPatches(config) : K;
  const kept = model.depth * (seen + 1) * model.embed_dim * widths * value;
  const keys = method.lookups?.keys(config) ?? 0;
  const copies = method.hasTeacher ? COPIES : COPIES - 1;
  return copies * parameters * FLOAT + train.batch_size * (kept + K * keys * FLOAT);
}

/** Trained values of a run's network. */
export const parametersOf = (config: RunConfig): number =>
  networkOf(config).parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);

/** What a checkpoint takes: student, teacher where there is one, and two moments, in 32 bits. */
export const checkpointBytes = (config: RunConfig): number =>
  FLOAT * (methodOf(config).hasTeacher ? 4 : 3) * parametersOf(config);

/** What the loader holds beside a step: micro-batches that wait or are in hand, of all views, and its threads. */
export function loaderMemory(config: RunConfig): number {
  const { train, data } = config;
  const pixels = methodOf(config)
    .views(config)
    .reduce((sum, { side }) => sum + side ** 2, 0);
  const batch = train.batch_size * pixels * 3 * FLOAT;
  const threads = data.workers || Math.max(1, Math.floor(availableParallelism() / 2));
  return (data.queue + train.accumulation) * batch + threads * THREAD;
}

/** Memory of this machine, or the limit of this process; null where a graphics card may have more of its own. */
export function machineMemory(): number | null {
  const mayHaveCard = platform() === 'win32' || existsSync('/proc/driver/nvidia/version') || existsSync('/dev/kfd');
  if (mayHaveCard) return null;
  const limit = process.constrainedMemory?.() ?? 0;
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}

/**
 * Refuses what cannot fit, before anything is made.
 * @throws AppError out-of-memory, with the setting that would change it
 */
export function requireMemory(config: RunConfig, memory = machineMemory()): void {
  const least = leastMemory(config);
  if (memory === null || least <= memory) return;
  throw new AppError(
    'out-of-memory',
    `This run needs ${bytes(least, 3)} of memory at least, and there is ${bytes(memory, 3)}.`,
    `A micro-batch is of ${config.train.batch_size} images of ${patchesOf(config.model)} patches each.`,
    adviceFor(config, memory),
  );
}

/** The setting that makes a run fit, as far as can be said without measuring. */
export function adviceFor(config: RunConfig, memory: number): string {
  const fits = (train: Partial<RunConfig['train']>) =>
    leastMemory({ ...config, train: { ...config.train, ...train } }) <= memory;
  const { recompute, batch_size } = config.train;
  // Steps take about half as much again as the least that can be computed.
  const batchFor = (train: Partial<RunConfig['train']>) => {
    let batch = batch_size;
    while (batch > 2 && !fits({ ...train, batch_size: Math.ceil(1.5 * batch) })) batch = Math.max(2, batch >> 1);
    return fits({ ...train, batch_size: batch }) ? batch : null;
  };
  const batch = batchFor({});
  if (batch !== null)
    return (
      'Set train.batch_size to ' +
      `${batch}${batch < batch_size ? ` (train.accumulation keeps the images of a step)` : ''}${recompute ? '' : ', or train.recompute to true'}.`
    );
  const both = recompute ? null : batchFor({ recompute: true });
  if (both !== null) return `Set train.recompute to true, and train.batch_size to ${both}.`;
  return 'Even train.batch_size=2 with train.recompute=true does not fit: take a larger model.patch_size, a smaller model.image_size, or a smaller model.';
}
