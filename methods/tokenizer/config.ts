import { z } from 'zod';
import {
  type ConfigOf,
  type InputOf,
  modelSchema,
  type Refuse,
  type RunConfig,
  type RunConfigInput,
} from '../../shared/config.ts';

/**
 * What a configuration of a tokenizer has beside the common sections. Names in `code` in a description are those of
 * published code (run_vqkd_training.py and norm_ema_quantizer.py of beit2, arXiv 2208.06366); "PeCo" is arXiv 2111.12710.
 */

const positiveInt = () => z.number().int().positive();
const rgb = (defaults: [number, number, number]) => z.tuple([z.number(), z.number(), z.number()]).default(defaults);

export const codebookSchema = z.strictObject({
  codes: positiveInt().min(2).max(16384).default(8192).describe('tokens that there are, V (`codebook_n_emd`)'),
  width: positiveInt().max(1024).default(32).describe('width of a code (`codebook_emd_dim`)'),
  decay: z.number().min(0).lt(1).default(0.99).describe('how slowly a code follows what falls on it (`ema_decay`)'),
  beta: z
    .number()
    .min(0)
    .max(100)
    .default(1)
    .describe('weight of the distance between what the encoder says and its code (`quantize_kmeans_init` beta)'),
  revive_after: positiveInt()
    .nullable()
    .default(20)
    .describe('steps without use after which a code is moved to where something is; null for never (not published)'),
  revive_share: z
    .number()
    .min(0)
    .max(1)
    .default(0.8)
    .describe('share of the run until which codes are moved, so that the last are what was learned'),
});

export const decoderSchema = z.strictObject({
  depth: positiveInt().max(64).default(3).describe('blocks of the decoder (`decoder_depth`)'),
});

export const pixelsSchema = z.strictObject({
  distance: z
    .enum(['squared', 'absolute'])
    .default('squared')
    .describe('of the pixels: mean square, or mean absolute difference (PeCo here)'),
});

/** The network that pictures are compared by: its settings are taken over from its run when this one is made. */
export const perceptualSchema = z.strictObject({
  weight: z
    .number()
    .min(0)
    .max(100)
    .default(0)
    .describe('of the difference of features, beside that of pixels; 0 for none (lambda; PeCo: 1)'),
  run: positiveInt()
    .nullable()
    .default(null)
    .describe('number of the run whose network gives the features; null: the newest that suits'),
  layers: z
    .array(positiveInt())
    .min(1)
    .max(64)
    .nullable()
    .default(null)
    .describe('blocks after which features are compared; null for a quarter, half, three quarters and all of them'),
  last_norm: z.boolean().default(false).describe("whether the network's last LayerNorm comes first"),
  image_size: modelSchema.shape.image_size.default(64),
  patch_size: modelSchema.shape.patch_size.default(8),
  embed_dim: modelSchema.shape.embed_dim.default(64),
  depth: modelSchema.shape.depth.default(4),
  num_heads: modelSchema.shape.num_heads.default(4),
  mlp_ratio: modelSchema.shape.mlp_ratio,
  position: modelSchema.shape.position.default('absolute'),
  layer_scale_init: modelSchema.shape.layer_scale_init,
  mean: rgb([0.485, 0.456, 0.406]).describe('with which that network was trained'),
  std: rgb([0.229, 0.224, 0.225]).describe('with which that network was trained'),
});

export const sections = {
  codebook: codebookSchema.prefault({}),
  decoder: decoderSchema.prefault({}),
  pixels: pixelsSchema.prefault({}),
  perceptual: perceptualSchema.prefault({}),
};
/** A complete, valid configuration of a tokenizer. */
export type TokenizerConfig = ConfigOf<typeof sections>;
/** What a user writes: any part of it. */
export type TokenizerInput = InputOf<typeof sections>;

/** A configuration of this method, with its own sections: `RunConfig` is what the house knows of it. */
export const ours = (config: RunConfig) => config as unknown as TokenizerConfig;

/** Settings of the perceptual section that are taken over from another run. */
export const TAKEN_OVER = [
  ...['image_size', 'patch_size', 'embed_dim', 'depth', 'num_heads', 'mlp_ratio', 'position', 'layer_scale_init'],
  ...['mean', 'std'],
].map((field) => `perceptual.${field}`);

/** beit2's VQ-KD of the common sections: pixels from -1 to 1, no colours; AdamW 5e-5 for 128 images, decay 1e-4, no clip. */
export const defaults: RunConfigInput = {
  model: {
    image_size: 112,
    patch_size: 8,
    embed_dim: 768,
    depth: 12,
    num_heads: 12,
    position: 'absolute',
    layer_scale_init: 0,
  },
  augment: {
    jitter: 0,
    brightness: 0,
    contrast: 0,
    saturation: 0,
    hue: 0,
    gray: 0,
    blur: 0,
    solarize: 0,
    interpolation: 'lanczos',
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
  },
  optimizer: { lr: 2e-4, min_lr: 1e-5, warmup_epochs: 10, betas: [0.9, 0.99], weight_decay: 1e-4, clip_grad: null },
};

export function check(config: RunConfig, refuse: Refuse): void {
  const { perceptual, model } = ours(config);
  if (perceptual.weight === 0 || perceptual.run === null) return; // what follows from the run is filled in with it
  const beyond = perceptual.layers?.find((layer) => layer > perceptual.depth);
  if (beyond !== undefined)
    refuse(['perceptual', 'layers'], `names block ${beyond} of ${perceptual.depth}; nearest: ${perceptual.depth}`);
  if (perceptual.layers?.some((layer, i, all) => i > 0 && layer <= all[i - 1]!))
    refuse(['perceptual', 'layers'], 'must rise, each block once');
  if (model.image_size % perceptual.patch_size !== 0)
    refuse(
      ['perceptual', 'weight'],
      `cannot be above 0 with a network whose patches of ${perceptual.patch_size} pixels do not fill ${model.image_size}; nearest: 0`,
    );
  if (perceptual.position === 'shared-relative-bias' && perceptual.image_size !== model.image_size)
    refuse(
      ['perceptual', 'weight'],
      `cannot be above 0 with a network of relative positions that sees ${perceptual.image_size} pixels; nearest: 0`,
    );
}
