import { MODEL_SIZES } from '../../shared/config.ts';
import type { Preset } from '../../shared/method.ts';
import type { MAEInput } from './config.ts';

const PUBLISHED_BATCH =
  'The published batch is 4,096 images; here it is 64 by 64 accumulated micro-batches, which is exact.';

/** A recipe of the paper (PRETRAIN.md of the published code; paper, table 8). */
function published(size: 'base' | 'large', letter: string): Preset {
  return {
    name: `mae-${size}`,
    title: `MAE ViT-${letter}/16, as published`,
    source: `arXiv 2111.06377 and the published PRETRAIN.md (800 epochs; 1,600 for the best numbers). ${PUBLISHED_BATCH}`,
    meant_for: 'ImageNet-1K and many GPUs',
    config: { model: MODEL_SIZES[`vit-${size}`], train: { batch_size: 64, accumulation: 64, epochs: 800 } },
  };
}

export const presets: readonly Preset[] = [
  {
    name: 'mae-small-cpu',
    title: 'Small masked autoencoder for one CPU (64 px, 8 px patches)',
    source: 'The encoder of small-cpu with fixed positions, and a decoder of half its depth and width',
    expected:
      '3,000 steps in 12 minutes on two busy cores; linear probe of 43 classes of tiles 56.2 %, untrained 50.2 %',
    meant_for: 'Two cores and a few hundred to some ten thousand images; learns within minutes',
    config: {
      model: { image_size: 64, patch_size: 8, embed_dim: 128, depth: 4, num_heads: 4 },
      decoder: { embed_dim: 64, depth: 2, num_heads: 4 },
      optimizer: { lr: 1e-3, warmup_epochs: 0, warmup_steps: 20, min_lr: 1e-5, clip_grad: 1 },
      augment: { crop_scale: [0.3, 0.6] },
      train: { batch_size: 64, epochs: 30 },
      checkpoint: { every_epochs: 5 },
    } satisfies MAEInput,
  },
  {
    name: 'mae-small-gpu',
    title: 'Masked autoencoder with a ViT-tiny for one GPU (128 px, 16 px patches)',
    source: 'The mae-small-cpu recipe with a ViT-tiny; not yet measured on a GPU',
    meant_for: 'One GPU and ten thousand to some hundred thousand images',
    config: {
      model: { ...MODEL_SIZES['vit-tiny'], image_size: 128, patch_size: 16 },
      decoder: { embed_dim: 128, depth: 4, num_heads: 4 },
      optimizer: { lr: 1e-3, warmup_epochs: 0, warmup_steps: 100, min_lr: 1e-5 },
      train: { batch_size: 256, epochs: 100 },
      checkpoint: { every_epochs: 10 },
    } satisfies MAEInput,
  },
  published('base', 'B'),
  published('large', 'L'),
];
