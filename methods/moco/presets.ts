import { MODEL_SIZES } from '../../shared/config.ts';
import type { Preset } from '../../shared/method.ts';
import { ALIKE } from '../../shared/views.ts';
import type { MoCoInput } from './config.ts';

/** A recipe of the paper (CONFIG.md of moco-v3). */
function published(size: 'small' | 'base', letter: string, images: number): Preset {
  return {
    name: `moco-v3-${size}`,
    title: `MoCo v3 ViT-${letter}/16, as published`,
    source: `arXiv 2104.02057 and the published CONFIG.md: ${images} images a step, whose keys are the dictionary`,
    meant_for: 'ImageNet-1K, and memory for the whole batch at once',
    config: {
      model: { ...MODEL_SIZES[`vit-${size}`], num_heads: 12 },
      optimizer: { lr: (1.5e-4 * images) / 256 },
      train: { batch_size: images, epochs: 300 },
    } satisfies MoCoInput,
  };
}

export const presets: readonly Preset[] = [
  {
    name: 'moco-small-cpu',
    title: 'MoCo v3 for one CPU (64 px, 8 px patches)',
    source: 'The encoder of small-cpu as MoCo v3 trains it, with a head and a predictor of 512',
    expected:
      '240 steps on two cores that were busy otherwise: loss 3.33 to 2.33; k-NN (CLS) of 43 classes of tiles 60.2 %, untrained 51.9 %',
    meant_for: 'Two cores and a few hundred to some ten thousand images; learns within minutes',
    config: {
      model: { image_size: 64, patch_size: 8, embed_dim: 128, depth: 4, num_heads: 4 },
      head: { hidden: 512, out: 128 },
      predictor: { hidden: 512 },
      optimizer: { lr: 5e-4, warmup_epochs: 0, warmup_steps: 40 },
      augment: { crop_scale: [0.2, 1] },
      train: { batch_size: 64, epochs: 30 },
      checkpoint: { every_epochs: 5 },
    } satisfies MoCoInput,
  },
  {
    name: 'moco-queue-small-cpu',
    title: 'MoCo v2 with a queue of 512 for one CPU (64 px, 8 px patches)',
    source:
      'The encoder of small-cpu, head and views of MoCo v2 (arXiv 2003.04297): on a ViT put together of published parts',
    meant_for: 'Two cores and one to some ten thousand images; small batches, as the queue has the candidates',
    config: {
      model: { image_size: 64, patch_size: 8, embed_dim: 128, depth: 4, num_heads: 4 },
      contrast: { dictionary: 'queue', queue: 512 },
      head: { layers: 2, hidden: 128, out: 128 },
      encoder: { frozen_patch_embedding: false },
      momentum: { schedule: 'constant', start: 0.99 },
      optimizer: { lr: 5e-4, warmup_epochs: 0, warmup_steps: 40 },
      train: { batch_size: 64, epochs: 30 },
      checkpoint: { every_epochs: 5 },
      augment: ALIKE,
      second: { blur: ALIKE.blur, solarize: ALIKE.solarize },
    } satisfies MoCoInput,
  },
  {
    name: 'moco-small-gpu',
    title: 'MoCo v3 with a ViT-tiny for one GPU (128 px, 16 px patches)',
    source: 'The moco-small-cpu recipe with a ViT-tiny; not yet measured on a GPU',
    meant_for: 'One GPU and ten thousand to some hundred thousand images',
    config: {
      model: { ...MODEL_SIZES['vit-tiny'], image_size: 128, patch_size: 16 },
      head: { hidden: 1024, out: 256 },
      predictor: { hidden: 1024 },
      optimizer: { lr: 6e-4, warmup_epochs: 10 },
      train: { batch_size: 512, epochs: 100 },
      checkpoint: { every_epochs: 10 },
    } satisfies MoCoInput,
  },
  published('small', 'S', 1024),
  published('base', 'B', 4096),
  {
    name: 'moby-small',
    title: 'MoBY with a DeiT-S/16: two queues, without its drop path',
    source:
      'arXiv 2105.04553 and its published code: queues of 4,096, AdamW 1e-3 for 512 images. Its drop path of 0.2 and its learned ' +
      'positions are left out',
    meant_for: 'ImageNet-1K and several GPUs',
    config: {
      model: MODEL_SIZES['vit-small'],
      contrast: { dictionary: 'queues', queue: 4096 },
      head: { layers: 2, hidden: 4096, out: 256 },
      encoder: { frozen_patch_embedding: false, decay_all: false },
      optimizer: { lr: 1e-3, weight_decay: 0.05, clip_grad: 5, warmup_epochs: 30 },
      train: { batch_size: 512, epochs: 300 },
    } satisfies MoCoInput,
  },
];
