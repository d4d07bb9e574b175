import { drawMask, methodOf, parseRunConfig } from '../../methods/index.ts';
import { type MethodBatch, stepOf } from '../../methods/steps.ts';
import { MODEL_SIZES, patchesOf, type RunConfig } from '../../shared/config.ts';
import type { SizeCost } from '../../shared/contract/recipes.ts';
import { AppError } from '../../shared/errors.ts';
import { maskPurposes } from '../../shared/views.ts';
import { stream } from '../data/random.ts';
import { countProducts, profileOperations } from '../engine/profile.ts';
import { type EngineOptions, Trainer } from '../engine/trainer.ts';
import { collectGarbage } from '../runtime/garbage.ts';
import { untrainedSource } from '../trainer/training.ts';

/** What `--precision` takes; fp16 is for CUDA devices without bf16. */
export const PRECISIONS = ['fp32', 'bf16', 'fp16'] as const;
export type Precision = (typeof PRECISIONS)[number];

/** What a step costs, under the names that the PyTorch program's `bench` has (tools/reference/conmim_torch.py). */
export interface StepBench {
  engine: string;
  device: string;
  model: string;
  image: number;
  batch: number;
  precision: Precision;
  /** Only where blocks are computed again on the way back, which the PyTorch program does not do. */
  recompute?: true;
  /** By the median step; the warm-up step does not count. */
  images_per_second: number;
  best_images_per_second: number;
  /** Most of the process that was ever resident, 1e9 bytes. */
  peak_memory_gb: number;
}

/** The rates of the PyTorch program's `bench`: they do not change what a step costs. */
export const RATES = { lr: 5e-4, weight_decay: 0.05, momentum: 0.996 };

/** A published model on images of some size. @throws AppError bad-input */
export function benchConfig(model: string, image: number, patch: number): RunConfig {
  const size = MODEL_SIZES[model as keyof typeof MODEL_SIZES];
  if (!size) {
    const known = Object.keys(MODEL_SIZES).join(', ');
    throw new AppError('bad-input', `There is no model "${model}".`, '', `Choose one of ${known}.`);
  }
  if (image % patch !== 0 || image < 2 * patch)
    throw new AppError('bad-input', `An image of ${image} pixels has no whole number of patches of ${patch}.`);
  return parseRunConfig({ model: { ...size, image_size: image, patch_size: patch }, mask: { kind: 'uniform' } });
}

/** A micro-batch of noise, with masks as the method draws them. */
export function noise(config: RunConfig, batch: number): MethodBatch {
  const { model } = config;
  const values = (side: number) => Float32Array.from({ length: batch * side ** 2 * 3 }, () => 2 * Math.random() - 1);
  const views = methodOf(config).views(config);
  const masks = maskPurposes(views).flatMap((purpose) =>
    Array.from({ length: batch }, (_, i) => drawMask(config, stream(0, 0, i, `bench ${purpose}`))),
  );
  const K = patchesOf(model);
  const mask = new Float32Array(masks[0] ? masks.length * K : 0);
  for (const [i, one] of masks.entries()) if (one) mask.set(one, i * K);
  return { views: Object.fromEntries(views.map(({ name, side }) => [name, values(side)])), mask };
}

export function untrainedEngine(config: RunConfig, options: EngineOptions) {
  const state = untrainedSource(config);
  return new Trainer(stepOf(config), config, state, state, options);
}

/**
 * Times whole training steps (both forwards, backward, clipping, AdamW, average) on noise. Needs a backend to be set.
 * @returns seconds of each step after a warm-up step, which compiles kernels for its shapes
 */
export function timeSteps(config: RunConfig, batch: number, steps: number, options: EngineOptions = {}): number[] {
  const engine = untrainedEngine(config, options);
  collectGarbage();
  try {
    return Array.from({ length: steps + 1 }, () => {
      const input = noise(config, batch);
      const began = performance.now();
      engine.step([input], RATES);
      return (performance.now() - began) / 1000;
    }).slice(1);
  } finally {
    engine.dispose();
  }
}

/**
 * Times steps on micro-batches of several sizes, one after the other, in one engine, and looks at the memory after each.
 * @param sizes rising, so that what a size takes is not hidden by what was there before
 */
export function measureSizes(
  config: RunConfig,
  sizes: readonly number[],
  steps: number,
  options: EngineOptions = {},
): SizeCost[] {
  const engine = untrainedEngine(config, options);
  collectGarbage();
  try {
    return sizes.map((batch) => {
      let flops: number | null = null;
      const times = Array.from({ length: steps + 1 }, (_, i) => {
        const input = noise(config, batch);
        collectGarbage(); // arrays of the size before would count for this one
        const began = performance.now();
        // The first warms up, and its time does not count.
        const count = i === 0 ? countProducts(() => engine.step([input], RATES)) : null;
        if (count === null) engine.step([input], RATES);
        else flops = count / batch;
        return (performance.now() - began) / 1000;
      });
      return { batch, seconds: Math.min(...times.slice(1)), peak: peakResident(), flops };
    });
  } finally {
    engine.dispose();
  }
}

/** What a step's time went to, after a step to warm up; null where the backend cannot say. */
export function profileStep(config: RunConfig, batch: number, options: EngineOptions = {}) {
  const engine = untrainedEngine(config, options);
  try {
    engine.step([noise(config, batch)], RATES);
    const input = noise(config, batch);
    return profileOperations(() => engine.step([input], RATES));
  } finally {
    engine.dispose();
  }
}

/** Most memory that this process ever had resident, bytes. */
export const peakResident = () => process.resourceUsage().maxRSS * 1024;

export const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;
