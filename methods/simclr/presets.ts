import { MODEL_SIZES } from '../../shared/config.ts';
import type { Preset } from '../../shared/method.ts';
import type { SimCLRInput } from './config.ts';

/** Jitter of half the strength, as for small images (appendix B.9). */
const GENTLE = { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 };

export const presets: readonly Preset[] = [
  {
    name: 'simclr-small-cpu',
    title: 'SimCLR for one CPU (64 px, 8 px patches)',
    source:
      "The encoder of small-cpu as MoCo v3 trains it, a head of 512, and the paper's views of half the strength, without blur",
    meant_for: 'Two cores and a few hundred to some ten thousand images; learns within minutes',
    serves: {
      budgets: ['quick', 'good', 'overnight'],
      why: 'It compares two views of each image, and of the methods measured here it tells images apart soonest.',
    },
    config: {
      model: { image_size: 64, patch_size: 8, embed_dim: 128, depth: 4, num_heads: 4 },
      head: { hidden: 512, out: 128 },
      optimizer: { lr: 5e-4, warmup_epochs: 0, warmup_steps: 40 },
      augment: { crop_scale: [0.2, 1], ...GENTLE, blur: 0 },
      train: { batch_size: 64, epochs: 30 },
      checkpoint: { every_epochs: 5 },
    } satisfies SimCLRInput,
  },
  {
    name: 'simclr-small-gpu',
    title: 'SimCLR with a ViT-tiny for one GPU (128 px, 16 px patches)',
    source: 'The simclr-small-cpu recipe with a ViT-tiny; not yet measured on a GPU',
    meant_for: 'One GPU and ten thousand to some hundred thousand images',
    config: {
      model: { ...MODEL_SIZES['vit-tiny'], image_size: 128, patch_size: 16 },
      head: { hidden: 1024, out: 256 },
      optimizer: { lr: 6e-4, warmup_epochs: 10 },
      augment: GENTLE,
      train: { batch_size: 512, epochs: 100 },
      checkpoint: { every_epochs: 10 },
    } satisfies SimCLRInput,
  },
  {
    name: 'simclr-vit-small',
    title: 'SimCLR with a ViT-S/16',
    source:
      'arXiv 2104.02057, section 6.1, tries SimCLR on a ViT and publishes no code: its encoder, head and optimizer, and the views ' +
      'of arXiv 2002.05709',
    meant_for: 'ImageNet-1K, and memory for the whole batch at once',
    config: { train: { batch_size: 1024, epochs: 300 } } satisfies SimCLRInput,
  },
];
