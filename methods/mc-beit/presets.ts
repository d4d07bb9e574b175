import type { Preset } from '../../shared/method.ts';
import { publishedOf, smallCpu, smallGpu } from '../beit/presets.ts';
import type { McBEiTInput } from './config.ts';

const { augment, mask: _, ...cpu } = smallCpu;
const { mask: __, ...gpu } = smallGpu;

export const presets: readonly Preset[] = [
  {
    name: 'mc-beit-small-cpu',
    title: 'Small mc-BEiT for one CPU (64 px, 8 px patches)',
    source: 'beit-small-cpu with targets that patches share, and no colours',
    meant_for:
      'Two cores and a few hundred to some ten thousand images, after a tokenizer, which is trained first where there is none',
    config: {
      ...cpu,
      augment: { crop_scale: augment!.crop_scale! },
      mask: { kind: 'block', ratio: 0.4, block_min_patches: 4 },
    } satisfies McBEiTInput,
  },
  {
    name: 'mc-beit-small-gpu',
    title: 'mc-BEiT with a ViT-tiny for one GPU (128 px, 16 px patches)',
    source: 'The mc-beit-small-cpu recipe with a ViT-tiny; not yet measured on a GPU',
    meant_for: 'One GPU and ten thousand to some hundred thousand images, after a tokenizer (tokenizer-small-gpu)',
    config: { ...gpu, mask: { kind: 'block', ratio: 0.4, block_min_patches: 4 } } satisfies McBEiTInput,
  },
  ...publishedOf('mc-beit', 'mc-BEiT', 'arXiv 2203.15371 and the published README (800 epochs).'),
];
