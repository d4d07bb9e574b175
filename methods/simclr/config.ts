import { z } from 'zod';
import {
  type ConfigOf,
  checkFixedPositions,
  encoderTrainingSchema,
  type InputOf,
  MODEL_SIZES,
  projectorSchema,
  type Refuse,
  type RunConfig,
  type RunConfigInput,
} from '../../shared/config.ts';

/**
 * What a configuration of SimCLR has beside the common sections. Names in `code` in a description are those of the published
 * code (tf2 of google-research/simclr); "paper" is arXiv 2002.05709, "v3" MoCo v3's, arXiv 2104.02057, in whose setting it was
 * tried on a ViT.
 */

const contrastSchema = z.strictObject({
  temperature: z
    .number()
    .positive()
    .max(10)
    .default(0.2)
    .describe('softmax temperature (`temperature`; the paper has 0.1 for a ResNet and 4,096 images, table 5)'),
});

const headSchema = projectorSchema.extend({
  layers: projectorSchema.shape.layers.describe(
    'linear layers of the head on CLS (`num_proj_layers`; the paper has 2)',
  ),
  hidden: projectorSchema.shape.hidden.describe("width of its hidden layers (v3; in the paper its input's)"),
  out: projectorSchema.shape.out.describe('width of a feature that is compared (`proj_out_dim` 128; v3: 256)'),
});

export const sections = {
  contrast: contrastSchema.prefault({}),
  head: headSchema.prefault({}),
  encoder: encoderTrainingSchema.prefault({}),
};
/** A complete, valid configuration of SimCLR. */
export type SimCLRRunConfig = ConfigOf<typeof sections>;
/** What a user writes: any part of it. */
export type SimCLRInput = InputOf<typeof sections>;

/** A configuration of this method, with its own sections: `RunConfig` is what the house knows of it. */
export const ours = (config: RunConfig) => config as unknown as SimCLRRunConfig;

/**
 * The paper's colours at full strength (appendix A; data_util.py), and MoCo v3's settings for a ViT-small. Crops are resampled
 * with antialiasing, as all of the workbench are; the published code has none.
 */
export const defaults: RunConfigInput = {
  model: { ...MODEL_SIZES['vit-small'], num_heads: 12, position: 'fixed-sincos', layer_scale_init: 0 },
  augment: {
    crop_scale: [0.08, 1],
    jitter: 0.8,
    brightness: 0.8,
    contrast: 0.8,
    saturation: 0.8,
    hue: 0.2,
    gray: 0.2,
    blur: 0.5,
    solarize: 0,
  },
  optimizer: { lr: 6e-4, min_lr: 0, warmup_epochs: 40, betas: [0.9, 0.999], weight_decay: 0.1, clip_grad: null },
};

export const check = ({ model }: RunConfig, refuse: Refuse): void =>
  checkFixedPositions('model', model.embed_dim, refuse);
