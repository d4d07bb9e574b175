import { MODEL_SIZES, type RunConfigInput } from '../../shared/config.ts';
import type { Preset } from '../../shared/method.ts';
import type { BEiTInput } from './config.ts';

/** Of a student of 8 x 8 patches that sees 64 pixels. */
export const smallCpu: BEiTInput = {
  model: {
    image_size: 64,
    patch_size: 8,
    embed_dim: 128,
    depth: 4,
    num_heads: 4,
    position: 'absolute',
    layer_scale_init: 0,
  },
  mask: { kind: 'block', ratio: 0.4, block_min_patches: 4 },
  student: { drop_path: 0 },
  optimizer: { lr: 1e-3, warmup_epochs: 0, warmup_steps: 50, min_lr: 1e-5, clip_grad: 1 },
  augment: { crop_scale: [0.3, 0.6], brightness: 0.2, contrast: 0.2, saturation: 0.2 },
  train: { batch_size: 64, epochs: 30 },
  checkpoint: { every_epochs: 5 },
};
export const smallGpu: BEiTInput = {
  model: { ...MODEL_SIZES['vit-tiny'], image_size: 128, patch_size: 16, position: 'absolute', layer_scale_init: 0 },
  mask: { kind: 'block', ratio: 0.4, block_min_patches: 4 },
  student: { drop_path: 0 },
  optimizer: { lr: 1e-3, warmup_epochs: 0, warmup_steps: 200, min_lr: 1e-5 },
  train: { batch_size: 256, epochs: 100 },
  checkpoint: { every_epochs: 10 },
};

const PUBLISHED_BATCH = 'The published batch is 2,048 images; here it is 64 by 32 accumulated micro-batches.';
const TOKENIZER =
  "Published with OpenAI's tokenizer, which is not downloaded: the preset tokenizer-base trains one on your images.";

/** As published, in two sizes. */
export const publishedOf = (name: string, title: string, source: string, config: RunConfigInput = {}): Preset[] =>
  (
    [
      ['base', 'B', 0.1],
      ['large', 'L', 1e-5],
    ] as const
  ).map(([size, letter, layer_scale_init]) => ({
    name: `${name}-${size}`,
    title: `${title} ViT-${letter}/16, settings as published`,
    source: `${source} ${PUBLISHED_BATCH} ${TOKENIZER}`,
    meant_for: 'ImageNet-1K and many GPUs',
    config: {
      ...config,
      model: { ...MODEL_SIZES[`vit-${size}`], layer_scale_init },
      train: { batch_size: 64, accumulation: 32, epochs: 800 },
    },
  }));

export const presets: readonly Preset[] = [
  {
    name: 'beit-small-cpu',
    title: 'Small BEiT for one CPU (64 px, 8 px patches)',
    source: 'The encoder of small-cpu with absolute positions; targets of tokenizer-small-cpu',
    meant_for:
      'Two cores and a few hundred to some ten thousand images, after a tokenizer, which is trained first where there is none',
    expected:
      'after 480 steps of a run of 600, on 2,458 wallpaper tiles: cross-entropy 5.55 to 2.2 (entropy of the tokens 4.5), 37 to 42 % of ' +
      'the tokens found; not measured by labels yet',
    config: smallCpu,
  },
  {
    name: 'beit-small-gpu',
    title: 'BEiT with a ViT-tiny for one GPU (128 px, 16 px patches)',
    source: 'The beit-small-cpu recipe with a ViT-tiny; not yet measured on a GPU',
    meant_for: 'One GPU and ten thousand to some hundred thousand images, after a tokenizer (tokenizer-small-gpu)',
    config: smallGpu,
  },
  ...publishedOf('beit', 'BEiT', 'arXiv 2106.08254 and the published README (800 epochs).'),
];
