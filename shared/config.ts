import { z } from 'zod';

/**
 * The configuration of a run: every field of the common sections, and of those that several methods have, with its
 * default, unit and source. Names in `code` in a description are
 * those of the published code (run_conmim_pretraining.py, datasets.py, masking_generator.py of TencentARC/ConMIM);
 * "paper" is arXiv 2205.09616.
 */

const probability = () => z.number().min(0).max(1);
const positiveInt = () => z.number().int().positive();
const range = (low: number, high: number) =>
  z
    .tuple([z.number().min(low).max(high), z.number().min(low).max(high)])
    .refine(([a, b]) => a <= b, { message: 'the first value must not be above the second' });

export const MODEL_SIZES = {
  'vit-tiny': { embed_dim: 192, depth: 12, num_heads: 3 },
  'vit-small': { embed_dim: 384, depth: 12, num_heads: 6 },
  'vit-base': { embed_dim: 768, depth: 12, num_heads: 12 },
  'vit-large': { embed_dim: 1024, depth: 24, num_heads: 16 },
} as const;

export const modelSchema = z.strictObject({
  image_size: positiveInt().max(1024).default(224).describe('side of the square input, pixels (`input_size`)'),
  patch_size: positiveInt().max(64).default(16).describe('side of a patch, pixels'),
  embed_dim: positiveInt().max(4096).default(384).describe('width of a token'),
  depth: positiveInt().max(64).default(12).describe('number of transformer blocks'),
  num_heads: positiveInt().max(64).default(6).describe('attention heads; must divide embed_dim'),
  mlp_ratio: z.number().positive().max(16).default(4).describe('hidden width of the MLP over embed_dim'),
  position: z
    .enum(['shared-relative-bias', 'absolute', 'fixed-sincos', 'none'])
    .default('shared-relative-bias')
    .describe('how a token knows its place (`rel_pos_bias`, `abs_pos_emb`); small data needs absolute'),
  layer_scale_init: z
    .number()
    .min(0)
    .max(10)
    .default(0.1)
    .describe('0.1 for base, 1e-5 for large, 0 for none (`layer_scale_init_value`)'),
  layer_norm_eps: z.number().positive().max(0.1).default(1e-6).describe('epsilon of LayerNorm'),
  init_std: z
    .number()
    .positive()
    .max(1)
    .default(0.02)
    .describe('standard deviation of the truncated normal that weights start from'),
});

export const projectorSchema = z.strictObject({
  layers: z.number().int().min(1).max(8).default(3).describe('linear layers of the projector'),
  hidden: positiveInt().max(16384).default(4096).describe('width of its hidden layers (`mlp_dim`)'),
  out: positiveInt().max(4096).default(256).describe('width of a key or query (`dim`)'),
  batch_norm_eps: z.number().positive().max(0.1).default(1e-5).describe('epsilon of BatchNorm'),
  batch_norm_momentum: z
    .number()
    .positive()
    .max(1)
    .default(0.1)
    .describe("share of a batch in BatchNorm's running statistics"),
});

export const maskSchema = z.strictObject({
  kind: z.enum(['random_mps32', 'block', 'uniform']).default('random_mps32').describe('mask generator (`mask_type`)'),
  ratio: z.number().gt(0).lt(1).default(0.75).describe('share of patches that are masked (`mask_ratio`)'),
  unit: positiveInt()
    .max(512)
    .default(32)
    .describe('side of a mask unit of random_mps32, pixels; a multiple of patch_size (`mask_patch_size`)'),
  block_min_patches: positiveInt().default(16).describe('smallest block, patches (`min_mask_patches_per_block`)'),
  block_max_patches: positiveInt()
    .nullable()
    .default(null)
    .describe('largest block, patches; null for no limit (`max_mask_patches_per_block`)'),
});

export const momentumSchema = z.strictObject({
  schedule: z
    .enum(['cosine', 'constant', 'none'])
    .default('cosine')
    .describe(
      'how the teacher follows: cosine from start to end, constant at start, or none (shared weights, stop-gradient)',
    ),
  start: probability().default(0.996).describe('momentum at the first step (`t_momentum`)'),
  end: probability().default(1).describe('momentum after the last step'),
});

/** How contrastive methods train a ViT: names in `code` are of MoCo v3's published code, "paper" is arXiv 2104.02057. */
export const encoderTrainingSchema = z.strictObject({
  frozen_patch_embedding: z
    .boolean()
    .default(true)
    .describe(
      'whether the patch embedding stays as it starts, which keeps training stable (`stop-grad-conv1`; section 4.2)',
    ),
  decay_all: z
    .boolean()
    .default(true)
    .describe('weight decay on every trained tensor, as published; false spares biases, scales of norms, and CLS'),
});

export const augmentSchema = z.strictObject({
  flip: probability().default(0.5).describe('probability of a horizontal flip'),
  crop_scale: range(0.001, 1).default([0.08, 1]).describe('area of the random crop, share of the image'),
  crop_ratio: range(0.1, 10)
    .default([3 / 4, 4 / 3])
    .describe('aspect ratio of the random crop, width over height'),
  interpolation: z
    .enum(['bicubic', 'bilinear', 'lanczos'])
    .default('bicubic')
    .describe('resampling filter (`train_interpolation`)'),
  jitter: probability().default(0.8).describe('probability of colour jitter'),
  brightness: z.number().min(0).max(1).default(0.4).describe('strength of brightness jitter'),
  contrast: z.number().min(0).max(1).default(0.4).describe('strength of contrast jitter'),
  saturation: z.number().min(0).max(1).default(0.2).describe('strength of saturation jitter'),
  hue: z.number().min(0).max(0.5).default(0.1).describe('strength of hue jitter, turns'),
  gray: probability().default(0.2).describe('probability of greyscale'),
  blur: probability().default(0.1).describe('probability of Gaussian blur'),
  blur_radius: range(0, 20).default([0.1, 2]).describe('radius of the blur, pixels (standard deviation)'),
  solarize: probability().default(0.2).describe('probability of solarisation'),
  solarize_threshold: z.number().min(0).max(255).default(128).describe('values at or above are inverted'),
  mean: z
    .tuple([z.number(), z.number(), z.number()])
    .default([0.485, 0.456, 0.406])
    .describe('subtracted from each channel (ImageNet)'),
  std: z
    .tuple([z.number().positive(), z.number().positive(), z.number().positive()])
    .default([0.229, 0.224, 0.225])
    .describe('each channel is divided by it (ImageNet)'),
});

export const optimizerSchema = z.strictObject({
  lr: z.number().positive().max(1).default(5e-4).describe('peak learning rate, not scaled by batch size (`lr`)'),
  min_lr: z.number().min(0).max(1).default(1e-5).describe('learning rate at the end (`min_lr`)'),
  warmup_lr: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe('learning rate at the first step; the published code passes none to its schedule, so it starts at 0'),
  warmup_epochs: z.number().min(0).default(5).describe('epochs of linear warm-up (`warmup_epochs`)'),
  warmup_steps: z
    .number()
    .int()
    .min(-1)
    .default(-1)
    .describe('steps of warm-up; -1 to use warmup_epochs (`warmup_steps`)'),
  betas: z
    .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
    .default([0.9, 0.98])
    .describe("AdamW's decay rates (`opt_betas`)"),
  eps: z.number().positive().max(1).default(1e-8).describe("AdamW's epsilon (`opt_eps`)"),
  weight_decay: z.number().min(0).max(10).default(0.05).describe('decoupled weight decay (`weight_decay`)'),
  weight_decay_end: z
    .number()
    .min(0)
    .max(10)
    .nullable()
    .default(null)
    .describe('weight decay at the end; null for constant (`weight_decay_end`)'),
  clip_grad: z
    .number()
    .positive()
    .nullable()
    .default(1)
    .describe('largest global gradient norm; null for no clipping (`clip_grad`)'),
  clip_each: z
    .boolean()
    .default(false)
    .describe("whether clip_grad is for each tensor's gradient by itself (`clip_grad` of DINO)"),
});

export const trainSchema = z.strictObject({
  batch_size: z.number().int().min(2).max(8192).default(64).describe('images of a micro-batch'),
  accumulation: positiveInt()
    .max(4096)
    .default(1)
    .describe("micro-batches of a step; BatchNorm's statistics are of each micro-batch"),
  epochs: positiveInt().max(100000).default(300).describe('passes over the images'),
  steps: positiveInt().nullable().default(null).describe('optimizer steps in all, instead of epochs'),
  seed: z
    .number()
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(0)
    .describe('seed from which everything random follows'),
  crops_per_image: positiveInt()
    .max(1024)
    .default(1)
    .describe('random crops that one epoch takes of each image; above 1 for few, large images'),
  mixed_precision: z
    .enum(['off', 'on', 'auto'])
    .default('off')
    .describe('products in bf16 (fp16 where a device has no bf16), the rest in fp32; auto: where that is faster here'),
  recompute: z
    .boolean()
    .default(false)
    .describe('compute blocks again on the way back: less memory, the same numbers, longer steps'),
});

/** Shorter sides of prepared images that can be asked for, pixels. */
export const PREPARED_LIMITS = { min: 16, max: 4096 } as const;

export const dataSchema = z.strictObject({
  workers: z
    .number()
    .int()
    .min(0)
    .max(256)
    .default(0)
    .describe('threads that decode and augment; 0 for half the cores'),
  queue: positiveInt().max(64).default(4).describe('prepared micro-batches that may wait'),
  holdout: z
    .number()
    .min(0)
    .max(0.9)
    .default(0)
    .describe('share of images kept from training, for look-up on unseen images'),
  prepared: z
    .number()
    .int()
    .min(PREPARED_LIMITS.min)
    .max(PREPARED_LIMITS.max)
    .nullable()
    .default(null)
    .describe(
      'shorter side, pixels, to which images are brought before they are cropped, read from what `conmim prepare` kept ' +
        'of that size; those not kept are decoded and give the same pixels. null: crops are of the images as they are, ' +
        'as published',
    ),
});

export const checkpointSchema = z.strictObject({
  every_steps: positiveInt().nullable().default(null).describe('steps between checkpoints; null to save by epochs'),
  every_epochs: positiveInt().default(20).describe('epochs between checkpoints (`save_ckpt_freq`)'),
  every_minutes: z
    .number()
    .positive()
    .nullable()
    .default(15)
    .describe('also save after this many minutes without a checkpoint, so that a kill loses little; null for never'),
  keep_last: positiveInt().default(2).describe('latest checkpoints kept with optimizer state'),
  keep_best: z.boolean().default(true).describe('keep the one with the lowest mean loss since the one before'),
  keep_every_epochs: positiveInt()
    .nullable()
    .default(null)
    .describe('epochs between checkpoints that are also kept, without optimizer state; null for none'),
});

export const metricsSchema = z.strictObject({
  features_every: positiveInt().default(50).describe('steps between measurements of effective rank and mean cosine'),
  checkpoint_images: positiveInt()
    .max(10_000)
    .nullable()
    .default(512)
    .describe(
      'images, the same each time, on which each checkpoint is measured beside the untrained network: by k-NN where they ' +
        'have classes, else by RankMe; null for none',
    ),
});

/** Sections that every run has, whatever its method. */
export const commonSections = {
  model: modelSchema.prefault({}),
  augment: augmentSchema.prefault({}),
  optimizer: optimizerSchema.prefault({}),
  train: trainSchema.prefault({}),
  data: dataSchema.prefault({}),
  checkpoint: checkpointSchema.prefault({}),
  metrics: metricsSchema.prefault({}),
};
const commonSchema = z.strictObject(commonSections);
export type CommonConfig = z.output<typeof commonSchema>;

/** Says what is wrong with a field of a configuration. */
export type Refuse = (path: [section: string, field: string], message: string) => void;

/** What no single field of the common sections can say. */
export function checkCommon({ model, data, optimizer }: CommonConfig, refuse: Refuse): void {
  const { image_size, patch_size, embed_dim, num_heads } = model;
  if (image_size % patch_size !== 0) {
    const nearest = Math.max(1, Math.round(image_size / patch_size)) * patch_size;
    refuse(['model', 'image_size'], `must be a multiple of model.patch_size (${patch_size}); nearest: ${nearest}`);
    return;
  }
  if (image_size / patch_size < 2)
    refuse(['model', 'patch_size'], `leaves a single patch; nearest: ${Math.floor(image_size / 2)}`);
  if (embed_dim % num_heads !== 0) {
    const nearest = Math.max(1, Math.round(embed_dim / num_heads)) * num_heads;
    refuse(['model', 'embed_dim'], `must be a multiple of model.num_heads (${num_heads}); nearest: ${nearest}`);
  }
  if (data.prepared !== null && data.prepared < image_size)
    refuse(['data', 'prepared'], `must not be below model.image_size; nearest: ${image_size}`);
  if (optimizer.min_lr > optimizer.lr)
    refuse(['optimizer', 'min_lr'], `must not be above optimizer.lr; nearest: ${optimizer.lr}`);
}

/** That positions fit that are sines and cosines of rows and columns. @param section that has the width of a token */
export function checkFixedPositions(section: string, embed_dim: number, refuse: Refuse): void {
  if (embed_dim % 4 === 0) return;
  const nearest = Math.max(4, Math.round(embed_dim / 4) * 4);
  refuse([section, 'embed_dim'], `must be a multiple of 4, for fixed positions; nearest: ${nearest}`);
}

/** That a mask's units fit the image. */
export function checkMask(mask: MaskConfig, { image_size, patch_size }: ModelConfig, refuse: Refuse): void {
  if (mask.kind !== 'random_mps32' || image_size % patch_size !== 0) return;
  if (mask.unit % patch_size === 0 && image_size % mask.unit === 0) return;
  const units = [...Array(image_size / patch_size).keys()]
    .map((i) => (i + 1) * patch_size)
    .filter((u) => image_size % u === 0 && u < image_size);
  const nearest = units.sort((a, b) => Math.abs(a - mask.unit) - Math.abs(b - mask.unit))[0];
  refuse(
    ['mask', 'unit'],
    `must be a multiple of model.patch_size (${patch_size}) that divides model.image_size (${image_size}); nearest: ${nearest}`,
  );
}

/**
 * A complete, valid configuration: the common sections, and those that its method has beside them, of which only what
 * several methods share is known here. A method's own code reads the rest.
 */
export type RunConfig = CommonConfig & {
  method: { name: string };
  mask?: { ratio: number };
  projector?: ProjectorConfig;
  momentum?: MomentumConfig;
};
/** A complete, valid configuration of a method with these sections beside the common ones. */
export type ConfigOf<Sections extends Record<string, z.ZodType>> = CommonConfig & {
  [K in keyof Sections]: z.output<Sections[K]>;
};
/** What a user writes of it: any part. */
export type InputOf<Sections extends Record<string, z.ZodType>> = { [K in keyof Sections]?: z.input<Sections[K]> } & {
  [K in keyof CommonConfig]?: Partial<CommonConfig[K]>;
};
/** What a user writes: any part of it. */
export type RunConfigInput = z.input<typeof commonSchema> & { method?: { name: string } } & {
  [section: string]: unknown;
};
export type ModelConfig = z.output<typeof modelSchema>;
export type ProjectorConfig = z.output<typeof projectorSchema>;
export type MaskConfig = z.output<typeof maskSchema>;
export type MomentumConfig = z.output<typeof momentumSchema>;
export type EncoderTrainingConfig = z.output<typeof encoderTrainingSchema>;
export type AugmentConfig = RunConfig['augment'];
export type OptimizerConfig = RunConfig['optimizer'];

/** Patches along one side of the image. */
export const gridOf = (model: Pick<ModelConfig, 'image_size' | 'patch_size'>) => model.image_size / model.patch_size;
/** K: patches of an image, and so keys of its dictionary. */
export const patchesOf = (model: Pick<ModelConfig, 'image_size' | 'patch_size'>) => gridOf(model) ** 2;
/** Whether positions are added to the tokens, learned or fixed. */
export const hasPositions = ({ position }: Pick<ModelConfig, 'position'>) =>
  position === 'absolute' || position === 'fixed-sincos';
