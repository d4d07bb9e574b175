import { MODEL_SIZES } from '../../shared/config.ts';
import type { Preset } from '../../shared/method.ts';
import type { SwAVInput } from './config.ts';

const VISSL =
  'VISSL (facebookresearch/vissl, configs/config/pretrain/swav): the recipe of the same authors for ViTs; arXiv 2006.09882 has ' +
  'ResNets. There codes are balanced over 2,048 images of a step; here over the 64 of a micro-batch and the queue';

/** Half the published strengths: with those a short run on small images collapses. */
const gentle = { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 } satisfies SwAVInput['augment'];

export const presets: readonly Preset[] = [
  {
    name: 'swav-small-cpu',
    title: 'Small SwAV for one CPU (64 px, 8 px patches)',
    source:
      'The encoder of small-cpu; two crops of 64 and two of 32 pixels, 128 prototypes. Sharper codes and milder colours than ' +
      'published: with those it collapses here, and a queue makes it worse',
    expected:
      '367 of 600 steps in 30 minutes on two very busy cores; k-NN of 43 classes of tiles 61.1 %, untrained 44.2 %',
    meant_for: 'Two cores and a few hundred to some ten thousand images; learns within minutes',
    config: {
      model: { image_size: 64, patch_size: 8, embed_dim: 128, depth: 4, num_heads: 4 },
      crops: { small: 2, small_size: 32 },
      head: { hidden: 512, out: 64 },
      prototypes: { count: 128, epsilon: 0.02, frozen_steps: 50 },
      augment: gentle,
      optimizer: { lr: 1e-3, warmup_epochs: 0, warmup_steps: 20, min_lr: 1e-5 },
      train: { batch_size: 64, epochs: 30 },
      checkpoint: { every_epochs: 5 },
    } satisfies SwAVInput,
  },
  {
    name: 'swav-small-gpu',
    title: 'SwAV with a ViT-tiny for one GPU (128 px, 16 px patches)',
    source: 'The swav-small-cpu recipe with a ViT-tiny; not yet measured on a GPU',
    meant_for: 'One GPU and ten thousand to some hundred thousand images',
    config: {
      model: { ...MODEL_SIZES['vit-tiny'], image_size: 128, patch_size: 16 },
      crops: { small: 4, small_size: 64 },
      head: { hidden: 1024, out: 128 },
      prototypes: { count: 512, epsilon: 0.02, frozen_steps: 200 },
      augment: gentle,
      optimizer: { lr: 1e-3, warmup_epochs: 0, warmup_steps: 100, min_lr: 1e-5 },
      train: { batch_size: 256, epochs: 100 },
      checkpoint: { every_epochs: 10 },
    } satisfies SwAVInput,
  },
  {
    name: 'swav-small',
    title: 'SwAV ViT-S/16, as published in VISSL',
    source: `${VISSL}. 300 epochs, two crops, a queue from the first step.`,
    meant_for: 'ImageNet-1K and many GPUs',
    config: {
      model: MODEL_SIZES['vit-small'],
      crops: { small: 0 },
      head: { out: 256 },
      prototypes: { epsilon: 0.04 },
      queue: { length: 3072 },
      train: { batch_size: 64, accumulation: 32, epochs: 300 },
    } satisfies SwAVInput,
  },
  {
    name: 'swav-base',
    title: 'SwAV ViT-B/16, as published in VISSL',
    source: `${VISSL}, of which the published recipe has none. 300 epochs; the rate is 1.5e-3 for every 4,096 images.`,
    meant_for: 'ImageNet-1K and many GPUs',
    config: {
      model: MODEL_SIZES['vit-base'],
      crops: { small: 0 },
      queue: { length: 3072 },
      optimizer: { lr: 7.5e-4 },
      train: { batch_size: 64, accumulation: 32, epochs: 300 },
    } satisfies SwAVInput,
  },
];
