import { z } from 'zod';
import {
  type ConfigOf,
  checkFixedPositions,
  encoderTrainingSchema,
  type InputOf,
  MODEL_SIZES,
  momentumSchema,
  type Refuse,
  type RunConfig,
  type RunConfigInput,
} from '../../shared/config.ts';
import { checkQueue } from '../../shared/key-queue.ts';
import { ALIKE } from '../../shared/views.ts';

/**
 * What a configuration of DenseCL has beside the common sections. Names in `code` in a description are those of the published
 * code (configs/selfsup/densecl of WXinlong/DenseCL); "paper" is arXiv 2011.09157, "v3" MoCo v3's, arXiv 2104.02057, whose way
 * to train a ViT is taken, for the paper has ResNets.
 */

const positiveInt = () => z.number().int().positive();

const contrastSchema = z.strictObject({
  temperature: z
    .number()
    .positive()
    .max(10)
    .default(0.2)
    .describe('softmax temperature of both losses (`temperature`)'),
  queue: positiveInt()
    .max(2 ** 20)
    .default(65_536)
    .describe(
      'keys that each of the two queues holds, a multiple of train.batch_size (`queue_len`); of few images take fewer than these',
    ),
});

const denseSchema = z.strictObject({
  lambda: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe('weight of the loss of patches; that of whole crops has the rest (`loss_lambda`; paper, section 3)'),
  start_steps: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe(
      'first steps in which lambda is 0, so that patches are matched by features that know something (`start_iters`)',
    ),
});

const neckSchema = z.strictObject({
  hidden: positiveInt().max(16384).default(2048).describe('width of the hidden layer of both heads (`hid_channels`)'),
  out: positiveInt().max(4096).default(128).describe('width of a key or query (`out_channels`, `feat_dim`)'),
});

const ownMomentumSchema = momentumSchema.extend({
  schedule: momentumSchema.shape.schedule
    .removeDefault()
    .default('constant')
    .describe('how the teacher follows: constant at start, as published, or cosine from start to end'),
  start: momentumSchema.shape.start.removeDefault().default(0.999).describe('momentum at the first step (`momentum`)'),
});

export const sections = {
  contrast: contrastSchema.prefault({}),
  dense: denseSchema.prefault({}),
  neck: neckSchema.prefault({}),
  encoder: encoderTrainingSchema.prefault({}),
  momentum: ownMomentumSchema.prefault({}),
};
/** A complete, valid configuration of DenseCL. */
export type DenseCLRunConfig = ConfigOf<typeof sections>;
/** What a user writes: any part of it. */
export type DenseCLInput = InputOf<typeof sections>;

/** A configuration of this method, with its own sections: `RunConfig` is what the house knows of it. */
export const ours = (config: RunConfig) => config as unknown as DenseCLRunConfig;

/**
 * Views as published. Encoder and optimizer are MoCo v3's for a ViT-small, with gradients clipped, for nothing is published for
 * DenseCL on a ViT: its rate for the 256 images of a step.
 */
export const defaults: RunConfigInput = {
  model: { ...MODEL_SIZES['vit-small'], num_heads: 12, position: 'fixed-sincos', layer_scale_init: 0 },
  augment: ALIKE,
  optimizer: { lr: 1.5e-4, min_lr: 0, warmup_epochs: 40, betas: [0.9, 0.999], weight_decay: 0.1, clip_grad: 1 },
};

export function check(config: RunConfig, refuse: Refuse): void {
  const { model, contrast, train } = ours(config);
  if (model.position === 'fixed-sincos') checkFixedPositions('model', model.embed_dim, refuse);
  checkQueue(contrast.queue, train, refuse);
}
