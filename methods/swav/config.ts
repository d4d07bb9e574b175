import { z } from 'zod';
import type { ConfigOf, InputOf, Refuse, RunConfig, RunConfigInput } from '../../shared/config.ts';
import { checkCrops, cropsSchema } from '../../shared/crops.ts';

/**
 * What a configuration of SwAV has beside the common sections. Names in `code` in a description are those of the published
 * code (main_swav.py of facebookresearch/swav); "paper" is arXiv 2006.09882, "VISSL" the recipes for ViTs of
 * facebookresearch/vissl.
 */

const positiveInt = () => z.number().int().positive();

const headSchema = z.strictObject({
  hidden: positiveInt().max(16384).default(2048).describe('width of the hidden layer (`hidden_mlp`)'),
  out: positiveInt().max(4096).default(128).describe('width of an embedding (`feat_dim`)'),
  batch_norm_eps: z.number().positive().max(0.1).default(1e-5).describe('epsilon of BatchNorm'),
  batch_norm_momentum: z
    .number()
    .positive()
    .max(1)
    .default(0.1)
    .describe("share of a batch in BatchNorm's running statistics"),
});

const prototypesSchema = z.strictObject({
  count: positiveInt().min(2).max(65_536).default(3000).describe('prototypes, K (`nmb_prototypes`)'),
  temperature: z.number().positive().max(10).default(0.1).describe('softmax temperature (`temperature`; paper, eq. 2)'),
  epsilon: z
    .number()
    .positive()
    .max(1)
    .default(0.05)
    .describe('how soft codes are; larger is softer (`epsilon`; paper, eq. 3)'),
  iterations: z
    .number()
    .int()
    .min(1)
    .max(100)
    .default(3)
    .describe('iterations of Sinkhorn-Knopp (`sinkhorn_iterations`)'),
  frozen_steps: z
    .number()
    .int()
    .min(0)
    .default(313)
    .describe('first steps in which prototypes stay as they are (`freeze_prototypes_niters`)'),
});

const queueSchema = z.strictObject({
  length: z
    .number()
    .int()
    .min(0)
    .max(1_000_000)
    .default(0)
    .describe(
      'embeddings of earlier steps that codes are balanced over too, rounded down to whole micro-batches; 0 for none ' +
        '(`queue_length`)',
    ),
  start_epoch: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe('epochs before the queue begins to fill (`epoch_queue_starts`)'),
});

export const sections = {
  crops: cropsSchema(
    { small: 6, small_size: 96, small_scale: [0.05, 0.14] },
    { small: '`nmb_crops`', small_size: '`size_crops`', small_scale: '`min_scale_crops`, `max_scale_crops`' },
  ).prefault({}),
  head: headSchema.prefault({}),
  prototypes: prototypesSchema.prefault({}),
  queue: queueSchema.prefault({}),
};
/** A complete, valid configuration of SwAV. */
export type SwAVRunConfig = ConfigOf<typeof sections>;
/** What a user writes: any part of it. */
export type SwAVInput = InputOf<typeof sections>;

/** A configuration of this method, with its own sections: `RunConfig` is what the house knows of it. */
export const ours = (config: RunConfig) => config as unknown as SwAVRunConfig;

/** Views as published (src/multicropdataset.py); the optimizer is VISSL's for ViTs: 2,048 images a step. */
export const defaults: RunConfigInput = {
  model: { position: 'absolute', layer_scale_init: 0 },
  augment: {
    crop_scale: [0.14, 1],
    interpolation: 'bilinear',
    jitter: 0.8,
    brightness: 0.8,
    contrast: 0.8,
    saturation: 0.8,
    hue: 0.2,
    gray: 0.2,
    blur: 0.5,
    solarize: 0,
    std: [0.228, 0.224, 0.225],
  },
  optimizer: { lr: 5e-4, min_lr: 0, warmup_epochs: 9, betas: [0.9, 0.999] },
};

/** Rows of a queue: whole micro-batches. */
export const queueLength = ({ queue, train }: Pick<SwAVRunConfig, 'queue' | 'train'>): number =>
  queue.length - (queue.length % train.batch_size);

export function check(config: RunConfig, refuse: Refuse): void {
  const { model, crops, queue, train } = ours(config);
  checkCrops(crops, model, refuse);
  if (queue.length > 0 && queue.length < train.batch_size)
    refuse(['queue', 'length'], `must hold a micro-batch, or be 0; nearest: ${train.batch_size}`);
}
