import type { Method } from '../../shared/method.ts';
import { method as beit } from '../beit/method.ts';
import { publishedOf, smallCpu, smallGpu } from '../beit/presets.ts';
import { borrowsTokenizer } from '../tokenizer/lending.ts';

/** BEiT, on tokens that were learned with an eye for what pictures look like to a network. */
export const method: Method = {
  ...beit,
  name: 'peco',
  title: 'PeCo',
  paper: {
    title: 'PeCo: Perceptual Codebook for BERT Pre-training of Vision Transformers',
    arxiv: '2111.12710',
    year: 2023,
  },
  tags: ['peco', 'masked-image-modeling'],
  about:
    'BEiT with a tokenizer whose pictures also have to look alike to a network that was pretrained here before. Both ' +
    'are trained first, on the same images. The tokenizer is of ViT blocks with the codebook of BEiT v2, where the paper has convolutions.',
  presets: [
    {
      name: 'peco-small-cpu',
      title: 'Small PeCo for one CPU (64 px, 8 px patches)',
      source: 'beit-small-cpu; targets of tokenizer-perceptual-small-cpu',
      meant_for: 'Two cores and a few hundred to some ten thousand images, after a pretraining and a tokenizer',
      config: smallCpu,
    },
    {
      name: 'peco-small-gpu',
      title: 'PeCo with a ViT-tiny for one GPU (128 px, 16 px patches)',
      source: 'The peco-small-cpu recipe with a ViT-tiny; not yet measured on a GPU',
      meant_for:
        'One GPU and ten thousand to some hundred thousand images, after tokenizer-small-gpu with perceptual.weight=1',
      config: smallGpu,
    },
    ...publishedOf('peco', 'PeCo', 'BEiT’s settings, which arXiv 2111.12710 follows.'),
  ],
  defaultPreset: 'peco-small-cpu',
  borrows: (config) => [borrowsTokenizer(config, 'features')],
  // No weights of it were released.
  published: null,
};
