import { MODEL_SIZES } from '../../shared/config.ts';
import type { Preset } from '../../shared/method.ts';
import type { DenseCLInput } from './config.ts';

const ON_A_VIT = 'The paper has ResNets: on the patch tokens of a ViT it is put together of published parts';

export const presets: readonly Preset[] = [
  {
    name: 'densecl-small-cpu',
    title: 'DenseCL with queues of 512 for one CPU (64 px, 8 px patches)',
    source: `The encoder of small-cpu as MoCo v3 trains it, views and heads of arXiv 2011.09157, gradients clipped. ${ON_A_VIT}`,
    expected:
      '400 steps in 25 minutes on two very busy cores: loss 2.4, 5.6 with full queues, 4.3 at the end; k-NN (mean of patch tokens) ' +
      'of 3,000 images of CIFAR-10 33.2 %, untrained 28.6 %',
    meant_for: 'Two cores and one to some ten thousand images; small batches, as the queues have the candidates',
    config: {
      model: { image_size: 64, patch_size: 8, embed_dim: 128, depth: 4, num_heads: 4 },
      contrast: { queue: 512 },
      neck: { hidden: 128, out: 128 },
      encoder: { frozen_patch_embedding: false },
      momentum: { start: 0.99 },
      optimizer: { lr: 5e-4, warmup_epochs: 0, warmup_steps: 40 },
      train: { batch_size: 64, epochs: 30 },
      checkpoint: { every_epochs: 5 },
    } satisfies DenseCLInput,
  },
  {
    name: 'densecl-small-gpu',
    title: 'DenseCL with a ViT-tiny for one GPU (128 px, 16 px patches)',
    source: 'The densecl-small-cpu recipe with a ViT-tiny and queues of 8,192; not yet measured on a GPU',
    meant_for: 'One GPU and twenty thousand to some hundred thousand images',
    config: {
      model: { ...MODEL_SIZES['vit-tiny'], image_size: 128, patch_size: 16 },
      contrast: { queue: 8192 },
      neck: { hidden: 512, out: 128 },
      momentum: { start: 0.996 },
      optimizer: { lr: 3e-4, warmup_epochs: 10 },
      train: { batch_size: 256, epochs: 100 },
      checkpoint: { every_epochs: 10 },
    } satisfies DenseCLInput,
  },
  {
    name: 'densecl-vit-small',
    title: 'DenseCL with a ViT-S/16, as published but for encoder and optimizer',
    source:
      `arXiv 2011.09157 and its published configuration for ImageNet: views, heads, queues, momentum, 256 images a step, 200 ` +
      `epochs. ${ON_A_VIT}; its SGD is for ResNets, and in its place is MoCo v3's AdamW (arXiv 2104.02057), gradients clipped: a choice`,
    meant_for: 'ImageNet-1K and several GPUs',
    config: { train: { batch_size: 256, epochs: 200 } } satisfies DenseCLInput,
  },
];
