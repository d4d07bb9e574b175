import { MODEL_SIZES } from '../../shared/config.ts';
import type { Preset } from '../../shared/method.ts';
import type { IBOTInput } from './config.ts';

const PUBLISHED_BATCH =
  'The published batch is 1,024 images; here it is 64 by 16 accumulated micro-batches: centres follow each of them.';

function published(size: 'small' | 'base' | 'large', letter: string, epochs: number, of: IBOTInput): Preset {
  return {
    name: `ibot-${size}`,
    title: `iBOT ViT-${letter}/16, as published`,
    source: `arXiv 2111.07832 and the published README (${epochs} epochs). ${PUBLISHED_BATCH}`,
    meant_for: 'ImageNet-1K and many GPUs',
    config: {
      model: MODEL_SIZES[`vit-${size}`],
      ...of,
      train: { batch_size: 64, accumulation: 16, epochs },
    } satisfies IBOTInput,
  };
}

export const presets: readonly Preset[] = [
  {
    name: 'ibot-small-cpu',
    title: 'Small iBOT for one CPU (64 px, 8 px patches)',
    source: 'The encoder of small-cpu; two crops of 64 and two of 32 pixels, 512 classes',
    meant_for: 'Two cores and a few hundred to some ten thousand images; learns within minutes',
    config: {
      model: { image_size: 64, patch_size: 8, embed_dim: 128, depth: 4, num_heads: 4 },
      crops: { small: 2, small_size: 32 },
      head: { hidden: 256, bottleneck: 64, out: 512, frozen_steps: 100 },
      temperatures: { warmup_epochs: 5 },
      loss: { drop_path: 0 },
      momentum: { start: 0.99, end: 1 },
      optimizer: { lr: 1e-3, warmup_epochs: 0, warmup_steps: 50, min_lr: 1e-5, weight_decay_end: 0.1 },
      train: { batch_size: 64, epochs: 30 },
      checkpoint: { every_epochs: 5 },
    } satisfies IBOTInput,
  },
  {
    name: 'ibot-small-gpu',
    title: 'iBOT with a ViT-tiny for one GPU (128 px, 16 px patches)',
    source: 'The ibot-small-cpu recipe with a ViT-tiny; not yet measured on a GPU',
    meant_for: 'One GPU and ten thousand to some hundred thousand images',
    config: {
      model: { ...MODEL_SIZES['vit-tiny'], image_size: 128, patch_size: 16 },
      crops: { small: 4, small_size: 64 },
      head: { hidden: 1024, out: 2048, frozen_steps: 300 },
      temperatures: { warmup_epochs: 10 },
      loss: { drop_path: 0 },
      momentum: { start: 0.99, end: 1 },
      optimizer: { lr: 1e-3, warmup_epochs: 0, warmup_steps: 200, min_lr: 1e-5, weight_decay_end: 0.2 },
      train: { batch_size: 256, epochs: 100 },
      checkpoint: { every_epochs: 10 },
    } satisfies IBOTInput,
  },
  published('small', 'S', 800, {}),
  published('base', 'B', 400, {
    augment: { crop_scale: [0.32, 1] },
    crops: { small_scale: [0.05, 0.32] },
    head: { unit_rows: true },
  }),
  published('large', 'L', 250, {
    augment: { crop_scale: [0.32, 1] },
    crops: { small_scale: [0.05, 0.32] },
    head: { unit_rows: true },
  }),
];
