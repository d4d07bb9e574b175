import { z } from 'zod';
import {
  type ConfigOf,
  type InputOf,
  momentumSchema,
  type Refuse,
  type RunConfig,
  type RunConfigInput,
} from '../../shared/config.ts';
import { checkCrops, cropsSchema } from '../../shared/crops.ts';

/**
 * What a configuration of iBOT has beside the common sections. Names in `code` in a description are those of the published
 * code (main_ibot.py, loader.py of bytedance/ibot); "paper" is arXiv 2111.07832.
 */

const probability = () => z.number().min(0).max(1);
const positiveInt = () => z.number().int().positive();
const temperature = () => z.number().positive().max(10);

const headSchema = z.strictObject({
  layers: z.number().int().min(2).max(8).default(3).describe('linear layers before the last one'),
  hidden: positiveInt().max(16384).default(2048).describe('width of the hidden layers'),
  bottleneck: positiveInt()
    .max(4096)
    .default(256)
    .describe('width of what is brought to unit length before the last layer'),
  out: positiveInt().min(2).max(65_536).default(8192).describe('classes, of CLS and of patches (`out_dim`)'),
  shared: z
    .boolean()
    .default(true)
    .describe('whether CLS and patches have one last layer, as in the published commands (`shared_head`)'),
  unit_rows: z
    .boolean()
    .default(false)
    .describe('whether rows of the last layer keep unit length; true for ViT-B and L (`norm_last_layer`)'),
  frozen_steps: z
    .number()
    .int()
    .min(0)
    .default(1251)
    .describe('first steps in which the last layer stays as it is: an epoch of ImageNet (`freeze_last_layer`)'),
});

const maskSchema = z.strictObject({
  kind: z.enum(['block', 'random']).default('block').describe('blocks, or single patches (`pred_shape`)'),
  unmasked: probability()
    .default(0.5)
    .describe('share of the large crops that have no mask: the 0 among the published ratios (`pred_ratio`)'),
  ratio: z.number().gt(0).lt(1).default(0.3).describe('share of patches that are masked in the others (`pred_ratio`)'),
  ratio_var: z
    .number()
    .min(0)
    .lt(1)
    .default(0.2)
    .describe('by how much that share is more or less, evenly drawn (`pred_ratio_var`)'),
});

const temperaturesSchema = z.strictObject({
  student: temperature().default(0.1).describe("of the student's softmax (`student_temp`)"),
  teacher_start: temperature().default(0.04).describe("of the teacher's, of CLS, at first (`warmup_teacher_temp`)"),
  teacher: temperature().default(0.07).describe('the same after the warm-up; above 0.07 is unstable (`teacher_temp`)'),
  patch_start: temperature()
    .default(0.04)
    .describe("of the teacher's, of patches, at first (`warmup_teacher_patch_temp`)"),
  patch: temperature().default(0.07).describe('the same after the warm-up (`teacher_patch_temp`)'),
  warmup_epochs: z
    .number()
    .int()
    .min(0)
    .default(30)
    .describe('epochs of the linear way from the first to the second (`warmup_teacher_temp_epochs`)'),
});

const centresSchema = z.strictObject({
  momentum: probability().default(0.9).describe('of the mean of the teacher’s logits of CLS (`center_momentum`)'),
  patch_momentum: probability().default(0.9).describe('the same of patches (`center_momentum2`)'),
});

const lossSchema = z.strictObject({
  cls: z.number().min(0).max(100).default(1).describe('weight of the term of CLS (`lambda1`)'),
  patch: z.number().min(0).max(100).default(1).describe('weight of the term of masked patches (`lambda2`)'),
  drop_path: z
    .number()
    .min(0)
    .lt(1)
    .default(0.1)
    .describe(
      "probability that a residual branch of the student's last block is left out, rising from 0 (`drop_path`)",
    ),
});

export const sections = {
  crops: cropsSchema(
    { small: 10, small_size: 96, small_scale: [0.05, 0.25] },
    { small: '`local_crops_number`', small_size: '96 in the code', small_scale: '`local_crops_scale`' },
  ).prefault({}),
  mask: maskSchema.prefault({}),
  head: headSchema.prefault({}),
  temperatures: temperaturesSchema.prefault({}),
  centres: centresSchema.prefault({}),
  loss: lossSchema.prefault({}),
  momentum: momentumSchema.prefault({}),
};
/** A complete, valid configuration of iBOT. */
export type IBOTRunConfig = ConfigOf<typeof sections>;
/** What a user writes: any part of it. */
export type IBOTInput = InputOf<typeof sections>;

/** A configuration of this method, with its own sections: `RunConfig` is what the house knows of it. */
export const ours = (config: RunConfig) => config as unknown as IBOTRunConfig;

/** Published settings of the common sections: ViT-S, 1,024 images a step (README, main_ibot.py). */
export const defaults: RunConfigInput = {
  model: { position: 'absolute', layer_scale_init: 0 },
  augment: { crop_scale: [0.25, 1] },
  optimizer: {
    lr: 2e-3,
    min_lr: 1e-6,
    warmup_epochs: 10,
    betas: [0.9, 0.999],
    weight_decay: 0.04,
    weight_decay_end: 0.4,
    clip_grad: 3,
    clip_each: true,
  },
};

export function check(config: RunConfig, refuse: Refuse): void {
  const { model, crops, mask } = ours(config);
  checkCrops(crops, model, refuse);
  const most = Math.min(mask.ratio, 1 - mask.ratio);
  if (mask.ratio_var > most)
    refuse(['mask', 'ratio_var'], `must leave shares between 0 and 1; nearest: ${Number(most.toFixed(6))}`);
}
