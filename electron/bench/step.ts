import { drawMask, FIRST_METHOD, methodOf } from '../../methods/index.ts';
import { networkOf } from '../../methods/networks.ts';
import { type MethodBatch, stepOf } from '../../methods/steps.ts';
import { MODEL_SIZES, patchesOf, type RunConfig, type RunConfigInput } from '../../shared/config.ts';
import type { SizeCost } from '../../shared/contract/recipes.ts';
import { AppError } from '../../shared/errors.ts';
import { maskPurposes } from '../../shared/views.ts';
import { stream } from '../data/random.ts';
import { trained } from '../engine/optimizers/optimizer.ts';
import { sizeOf } from '../engine/parameters.ts';
import { countProducts, profileOperations } from '../engine/profile.ts';
import { type EngineOptions, Trainer } from '../engine/trainer.ts';
import { collectGarbage } from '../runtime/garbage.ts';
import {
  findPreset,
  parseConfig,
  parseSetting,
  requireMethod,
  withChanges,
} from '../services/recipes/configuration.ts';
import { wouldTake } from '../services/recipes/lenders.ts';
import { untrainedSource } from '../trainer/training.ts';

/** What `--precision` takes; fp16 is for CUDA devices without bf16. */
export const PRECISIONS = ['fp32', 'bf16', 'fp16'] as const;
export type Precision = (typeof PRECISIONS)[number];

/** What a step costs, under the names that the PyTorch program has (tools/reference/step_torch.py). */
export interface StepBench {
  engine: string;
  device: string;
  method: string;
  /** A published size, or the preset whose sizes it has. */
  model: string;
  image: number;
  batch: number;
  precision: Precision;
  /** Only where blocks are computed again on the way back, which the PyTorch program does not do. */
  recompute?: true;
  /** By the median step; the warm-up step does not count. */
  images_per_second: number;
  best_images_per_second: number;
  /** Images over the processor's seconds of the median step, all threads: what else the machine does counts for less. */
  images_per_second_core: number;
  /** Most of the process that was ever resident, 1e9 bytes. */
  peak_memory_gb: number;
  /** Numbers that are trained. */
  parameters: number;
  /** Of the products of matrices in a step, a multiplication and an addition counting two; null where they are not counted. */
  flops_per_image: number | null;
  work: StepWork;
}

/** What is computed, for a program that has to compute the same. */
export interface StepWork {
  config: RunConfig;
  /** Sides of the views of an image by name, pixels. */
  views: Record<string, number>;
  /** Views with a mask, and patches that all masks of the batch hide. */
  masked_views: number;
  masked: number;
}

/** The rates of the PyTorch program's `bench`: they do not change what a step costs. */
export const RATES = { lr: 5e-4, weight_decay: 0.05, momentum: 0.996 };

/** What a step is measured of; what is left out is as the method's default preset has it. */
export interface BenchChoice {
  method: string;
  /** A published size, with the method's published settings. */
  model?: string | undefined;
  image?: number | undefined;
  patch?: number | undefined;
  batch?: number | undefined;
  /** Further settings, KEY=VALUE. */
  set?: readonly string[];
}

/** @throws AppError bad-input */
export function benchConfig({ method: name, model, image, patch, batch, set = [] }: BenchChoice): RunConfig {
  const method = requireMethod(name);
  const start = model === undefined ? findPreset(method.defaultPreset).config : { model: sizeNamed(model) };
  const given = { 'model.image_size': image, 'model.patch_size': patch, 'train.batch_size': batch };
  const changes = {
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    ...Object.fromEntries(set.map((setting) => parseSetting(setting, method)).map(({ key, value }) => [key, value])),
  };
  const made = (more: Readonly<Record<string, unknown>>) =>
    parseConfig(withChanges({ config: { ...start, method: { name } } as RunConfigInput }, { ...more, ...changes }));
  return made(wouldTake(made({})));
}

/** A published model on images of some size, as the PyTorch program times it where no method is named. @throws AppError bad-input */
export const firstConfig = (choice: Omit<BenchChoice, 'method'>): RunConfig =>
  benchConfig({ ...choice, method: FIRST_METHOD, set: ['mask.kind=uniform', ...(choice.set ?? [])] });

function sizeNamed(model: string) {
  const size = MODEL_SIZES[model as keyof typeof MODEL_SIZES];
  if (size) return size;
  const known = Object.keys(MODEL_SIZES).join(', ');
  throw new AppError('bad-input', `There is no model "${model}".`, '', `Choose one of ${known}.`);
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
  return {
    views: Object.fromEntries(views.map(({ name, side }) => [name, values(side)])),
    mask,
    imageIds: Int32Array.from({ length: batch }, (_, i) => i),
    random: (purpose) => stream(0, 0, 0, `bench ${purpose}`),
  };
}

/** Views and masks of such a micro-batch. */
export function workOf(config: RunConfig, batch: number): StepWork {
  const { mask } = noise(config, batch);
  const views = methodOf(config).views(config);
  return {
    config,
    views: Object.fromEntries(views.map(({ name, side }) => [name, side])),
    masked_views: maskPurposes(views).length,
    masked: mask.reduce((sum, hidden) => sum + hidden, 0),
  };
}

/** Numbers that are trained. */
export const trainedNumbers = (config: RunConfig): number =>
  trained(networkOf(config).parameters).reduce((sum, { shape }) => sum + sizeOf(shape), 0);

export function untrainedEngine(config: RunConfig, options: EngineOptions) {
  const state = untrainedSource(config);
  return new Trainer(stepOf(config), config, state, state, options);
}

/** The first step of a size: it compiles kernels for its shapes. @returns FLOPs of its products, an image; null where they are not counted */
function warmUp(engine: Trainer<RunConfig, MethodBatch>, input: MethodBatch, batch: number): number | null {
  const count = countProducts(() => engine.step([input], RATES));
  if (count !== null) return count / batch;
  engine.step([input], RATES);
  return null;
}

/** One step: the clock's seconds, and the processor's of all threads. */
export function timeStep(engine: Trainer<RunConfig, MethodBatch>, input: MethodBatch) {
  const [began, used] = [performance.now(), process.cpuUsage()];
  engine.step([input], RATES);
  const { user, system } = process.cpuUsage(used);
  return { seconds: (performance.now() - began) / 1000, cpu_seconds: (user + system) / 1e6 };
}

/**
 * Times whole training steps (all forwards, backward, clipping, AdamW, average) on noise. Needs a backend to be set.
 * @returns seconds of each step after a warm-up step, and the processor's seconds of all threads
 */
export function timeSteps(
  config: RunConfig,
  batch: number,
  steps: number,
  options: EngineOptions = {},
): { seconds: number[]; cpu_seconds: number[]; flops_per_image: number | null } {
  const engine = untrainedEngine(config, options);
  collectGarbage();
  try {
    const flops_per_image = warmUp(engine, noise(config, batch), batch);
    const times = Array.from({ length: steps }, () => timeStep(engine, noise(config, batch)));
    return {
      seconds: times.map(({ seconds }) => seconds),
      cpu_seconds: times.map(({ cpu_seconds }) => cpu_seconds),
      flops_per_image,
    };
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
      const next = () => {
        const input = noise(config, batch);
        collectGarbage(); // arrays of the size before would count for this one
        return input;
      };
      const flops = warmUp(engine, next(), batch);
      const times = Array.from({ length: steps }, () => timeStep(engine, next()).seconds);
      return { batch, seconds: Math.min(...times), peak: peakResident(), flops };
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
