import type { Preset } from '../../shared/method.ts';
import type { TokenizerInput } from './config.ts';

const small: TokenizerInput = {
  model: { image_size: 32, patch_size: 4, embed_dim: 64, depth: 2, num_heads: 4 },
  codebook: { codes: 256, width: 16 },
  decoder: { depth: 2 },
  optimizer: { lr: 1e-3, warmup_epochs: 0, warmup_steps: 50, min_lr: 5e-5, clip_grad: 1 },
  train: { batch_size: 32, steps: 1500 },
  checkpoint: { every_steps: 500 },
};

/** Compares features too: what PeCo takes over. */
export const PERCEPTUAL = 'tokenizer-perceptual-small-cpu';

export const presets: readonly Preset[] = [
  {
    name: 'tokenizer-small-cpu',
    title: 'Small tokenizer for one CPU (8 x 8 tokens of 256)',
    source:
      'The networks of VQ-KD (arXiv 2208.06366) made small, on pixels; matrices start by Xavier, unused codes are moved',
    meant_for:
      'Two cores and a few hundred to some ten thousand images; what beit-small-cpu and mc-beit-small-cpu take over',
    expected:
      '1,500 steps in 4 minutes on two busy cores, on 2,458 wallpaper tiles: error 0.65 to 0.0125, perplexity 88 of 256, every code in use',
    config: small,
  },
  {
    name: PERCEPTUAL,
    title: 'Small tokenizer for PeCo, compared by features too',
    source: 'tokenizer-small-cpu with the perceptual term of PeCo (arXiv 2111.12710)',
    meant_for:
      'After a pretraining on the same images, whose network gives the features; what peco-small-cpu takes over',
    config: { ...small, pixels: { distance: 'absolute' }, perceptual: { weight: 1 } } satisfies TokenizerInput,
  },
  {
    name: 'tokenizer-small-gpu',
    title: 'Tokenizer for one GPU (8 x 8 tokens of 1,024)',
    source: 'The same networks, wider; not yet measured on a GPU',
    meant_for: 'One GPU and ten thousand to some hundred thousand images; for students of 128 px with 16 px patches',
    config: {
      model: { image_size: 64, patch_size: 8, embed_dim: 192, depth: 4, num_heads: 3 },
      codebook: { codes: 1024, width: 32 },
      decoder: { depth: 3 },
      optimizer: { lr: 5e-4, warmup_epochs: 0, warmup_steps: 200, min_lr: 1e-5, clip_grad: 1 },
      train: { batch_size: 256, epochs: 50 },
      checkpoint: { every_epochs: 10 },
    } satisfies TokenizerInput,
  },
  {
    name: 'tokenizer-base',
    title: 'Tokenizer of 14 x 14 tokens of 8,192, as large as published ones',
    source:
      'Networks, codebook and optimizer of VQ-KD (arXiv 2208.06366: 100 epochs, batch 512, 2e-4), on pixels of half the ' +
      "student's side. The published batch is 512; here it is 64 by 8 accumulated micro-batches, after each of which codes move",
    meant_for: 'ImageNet-1K and many GPUs',
    config: { train: { batch_size: 64, accumulation: 8, epochs: 100 } } satisfies TokenizerInput,
  },
];
