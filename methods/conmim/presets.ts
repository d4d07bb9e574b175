import { MODEL_SIZES } from '../../shared/config.ts';
import type { Preset } from '../../shared/method.ts';
import type { ConMIMInput } from './config.ts';

const PUBLISHED_BATCH =
  'The published batch is 2,048 images over 32 GPUs; here it is 64 by 32 accumulated micro-batches, so BatchNorm sees 64 images as one published GPU did.';

/** A recipe of the paper: what its README says of the model, and for the rest its pre-training command, which is for ViT-L. */
function published(size: 'small' | 'base' | 'large', letter: string, epochs: number, layer_scale_init: number): Preset {
  const rest = size === 'large' ? '' : '; values not named there are those of its ViT-L command';
  return {
    name: `conmim-${size}`,
    title: `ConMIM ViT-${letter}/16, as published`,
    source: `arXiv 2205.09616 and the published README (${epochs} epochs)${rest}. ${PUBLISHED_BATCH}`,
    meant_for: 'ImageNet-1K and many GPUs',
    config: {
      model: { ...MODEL_SIZES[`vit-${size}`], layer_scale_init },
      mask: { kind: 'random_mps32', ratio: 0.75, unit: 32 },
      optimizer: { lr: 7.5e-4, warmup_epochs: 10, clip_grad: 1 },
      train: { batch_size: 64, accumulation: 32, epochs },
    },
  };
}

/** Positions must be absolute and the rate high for few images: with the published relative bias, which starts at zero, nothing moves off ln K. */
const smallData = {
  model: { position: 'absolute', layer_scale_init: 1 },
  optimizer: { lr: 2e-3, warmup_epochs: 0, warmup_steps: 20, min_lr: 1e-5, clip_grad: 1 },
  momentum: { start: 0.99, end: 1 },
} satisfies ConMIMInput;

/** Brightness and contrast alone: with the published colours, grey and solarisation a short run learns little but position. */
const gentleAugment = { saturation: 0, hue: 0, gray: 0, blur: 0, solarize: 0 } satisfies ConMIMInput['augment'];

export const presets: readonly Preset[] = [
  {
    name: 'demo',
    title: 'A few minutes on the nine sample photographs',
    source:
      'Found by experiment on the sample photographs, two cores: with the published augmentation, or with the drawings, position alone is learned at first',
    expected:
      '400 steps in 5 to 10 minutes on two busy cores; loss 4.16 to 1.75, look-ups of whole photographs 60.0 %, 7.4 % untrained (docs/walk-through.md)',
    meant_for: '`npm run demo`',
    config: {
      ...smallData,
      model: { ...smallData.model, image_size: 64, patch_size: 8, embed_dim: 96, depth: 4, num_heads: 4 },
      projector: { hidden: 256, out: 64 },
      mask: { kind: 'random_mps32', ratio: 0.75, unit: 16 },
      augment: { ...gentleAugment, crop_scale: [0.02, 0.12] },
      train: { batch_size: 64, steps: 400, crops_per_image: 100 },
      checkpoint: { every_steps: 100 },
    },
  },
  {
    name: 'small-cpu',
    title: 'Small ViT for one CPU (64 px, 8 px patches)',
    source: 'Measured here on photo tiles: docs/wallpaper-run.md',
    expected:
      '33 minutes for 6,000 steps on two cores; k-NN of 43 classes of tiles 58.7 %, 40.4 % untrained (docs/wallpaper-run.md)',
    meant_for: 'Two cores and a few hundred to some ten thousand images; learns within minutes',
    config: {
      ...smallData,
      // A run of half an hour loses dimensions with the demo's rate and teacher (docs/wallpaper-run.md).
      optimizer: { ...smallData.optimizer, lr: 1e-3 },
      momentum: { start: 0.996, end: 1 },
      model: { ...smallData.model, image_size: 64, patch_size: 8, embed_dim: 128, depth: 4, num_heads: 4 },
      projector: { hidden: 256, out: 64 },
      mask: { kind: 'random_mps32', ratio: 0.75, unit: 16 },
      augment: { ...gentleAugment, crop_scale: [0.3, 0.6] },
      train: { batch_size: 64, epochs: 30 },
      checkpoint: { every_epochs: 5 },
    },
  },
  {
    name: 'small-gpu',
    title: 'ViT-tiny for one GPU (128 px, 16 px patches)',
    source: 'The small-cpu recipe with a ViT-tiny; not yet measured on a GPU',
    meant_for: 'One GPU and ten thousand to some hundred thousand images',
    config: {
      ...smallData,
      model: { ...smallData.model, image_size: 128, patch_size: 16, embed_dim: 192, depth: 12, num_heads: 3 },
      projector: { hidden: 2048, out: 256 },
      mask: { kind: 'random_mps32', ratio: 0.75, unit: 32 },
      optimizer: { ...smallData.optimizer, lr: 1e-3, warmup_steps: 100 },
      momentum: { start: 0.996, end: 1 },
      train: { batch_size: 256, epochs: 100 },
      checkpoint: { every_epochs: 10 },
    },
  },
  published('small', 'S', 300, 0.1),
  published('base', 'B', 800, 0.1),
  published('large', 'L', 1600, 1e-5),
];
