import { z } from 'zod';
import {
  type ConfigOf,
  checkFixedPositions,
  type InputOf,
  MODEL_SIZES,
  type Refuse,
  type RunConfig,
  type RunConfigInput,
} from '../../shared/config.ts';

/**
 * What a configuration of MAE has beside the common sections. Names in `code` in a description are those of the published
 * code (main_pretrain.py, models_mae.py of facebookresearch/mae); "paper" is arXiv 2111.06377.
 */

const positiveInt = () => z.number().int().positive();

const maskSchema = z.strictObject({
  ratio: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.75)
    .describe('share of patches that are removed (`mask_ratio`; paper, figure 5)'),
});

const decoderSchema = z.strictObject({
  embed_dim: positiveInt()
    .max(4096)
    .default(512)
    .describe('width of the decoder (`decoder_embed_dim`; paper, table 1b)'),
  depth: positiveInt().max(64).default(8).describe('its blocks (`decoder_depth`; paper, table 1a)'),
  num_heads: positiveInt()
    .max(64)
    .default(16)
    .describe('its attention heads (`decoder_num_heads`); must divide its width'),
});

const targetSchema = z.strictObject({
  normalised: z
    .boolean()
    .default(true)
    .describe("each patch's pixels less their own mean, over their own deviation (`norm_pix_loss`; paper, table 1d)"),
});

export const sections = {
  mask: maskSchema.prefault({}),
  decoder: decoderSchema.prefault({}),
  target: targetSchema.prefault({}),
};
/** A complete, valid configuration of MAE. */
export type MAERunConfig = ConfigOf<typeof sections>;
/** What a user writes: any part of it. */
export type MAEInput = InputOf<typeof sections>;

/** A configuration of this method, with its own sections: `RunConfig` is what the house knows of it. */
export const ours = (config: RunConfig) => config as unknown as MAERunConfig;

/** Published settings of the common sections (PRETRAIN.md; paper, table 8): 4,096 images a step, no colours, no clipping. */
export const defaults: RunConfigInput = {
  model: { ...MODEL_SIZES['vit-base'], position: 'fixed-sincos', layer_scale_init: 0 },
  augment: {
    crop_scale: [0.2, 1],
    jitter: 0,
    brightness: 0,
    contrast: 0,
    saturation: 0,
    hue: 0,
    gray: 0,
    blur: 0,
    solarize: 0,
  },
  optimizer: { lr: 2.4e-3, min_lr: 0, warmup_epochs: 40, betas: [0.9, 0.95], clip_grad: null },
};

/** Patches that the encoder sees, in double precision as the published code computes it: 9 of 100 at 0.9. */
export const keptPatches = (patches: number, ratio: number): number => Math.floor(patches * (1 - ratio));

export function check(config: RunConfig, refuse: Refuse): void {
  const { model, decoder, mask } = ours(config);
  if (decoder.embed_dim % decoder.num_heads !== 0) {
    const nearest = Math.max(1, Math.round(decoder.embed_dim / decoder.num_heads)) * decoder.num_heads;
    refuse(
      ['decoder', 'embed_dim'],
      `must be a multiple of decoder.num_heads (${decoder.num_heads}); nearest: ${nearest}`,
    );
  }
  for (const [section, width] of [
    ['decoder', decoder.embed_dim],
    ['model', model.embed_dim],
  ] as const)
    checkFixedPositions(section, width, refuse);
  const patches = (model.image_size / model.patch_size) ** 2;
  const kept = keptPatches(patches, mask.ratio);
  if (Number.isInteger(patches) && (kept < 1 || kept === patches)) {
    const nearest = kept < 1 ? Math.floor((100 * (patches - 1)) / patches) / 100 : Math.ceil(100 / patches) / 100;
    refuse(['mask', 'ratio'], `leaves ${kept} of ${patches} patches; nearest: ${nearest}`);
  }
}
