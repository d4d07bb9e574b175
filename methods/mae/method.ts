import type { FieldMeta, Method } from '../../shared/method.ts';
import { check, defaults, keptPatches, ours, sections } from './config.ts';
import { account } from './figures.ts';
import { presets } from './presets.ts';

const fields: Record<string, FieldMeta> = {
  'mask.ratio': { slider: { min: 0.05, max: 0.95, step: 0.01 }, affects: ['speed', 'memory', 'views'] },
  'decoder.embed_dim': { label: 'Width', slider: { min: 16, max: 1024, step: 16 }, affects: ['speed', 'memory'] },
  'decoder.depth': { slider: { min: 1, max: 12, step: 1 }, affects: ['speed', 'memory'] },
  'decoder.num_heads': { label: 'Heads', slider: { min: 1, max: 16, step: 1 }, affects: ['speed'] },
  'target.normalised': { label: 'Normalised pixels' },
};

/** Masked autoencoders: a quarter of the patches goes in, the pixels of the others come out. */
export const method: Method = {
  ...account,
  name: 'mae',
  title: 'MAE',
  paper: { title: 'Masked Autoencoders Are Scalable Vision Learners', arxiv: '2111.06377', year: 2022 },
  tags: ['mae', 'masked-image-modeling'],
  about:
    'Sees a quarter of the patches and draws the pixels of the others. Steps are fast, for the encoder skips what is ' +
    'hidden. Strong when fine-tuned, weak under k-NN.',
  sections,
  titles: { mask: 'Mask', decoder: 'Decoder', target: 'Target' },
  defaults,
  fixed: [
    'model.position',
    ...['jitter', 'brightness', 'contrast', 'saturation', 'hue', 'gray', 'blur', 'solarize'].map((f) => `augment.${f}`),
    ...['blur_radius', 'solarize_threshold'].map((field) => `augment.${field}`),
  ],
  check,
  fields,
  presets,
  defaultPreset: 'mae-small-cpu',
  views: ({ model }) => [
    {
      name: 'image',
      title: 'image',
      side: model.image_size,
      geometry: 'geometry',
      colours: 'weak' as const,
      isMasked: true,
    },
  ],
  /** Every image the same number, each choice equally likely: the places of the smallest of K numbers are kept. */
  mask(config, { grid }, random) {
    const K = grid ** 2;
    const noise = Float64Array.from({ length: K }, () => random.next());
    const order = [...noise.keys()].sort((a, b) => noise[a]! - noise[b]!);
    const mask = new Uint8Array(K).fill(1);
    for (const place of order.slice(0, keptPatches(K, ours(config).mask.ratio))) mask[place] = 0;
    return mask;
  },
  notices: () => [],
  hasTeacher: false,
  removesHidden: true,
  ablations: [
    { title: 'Mask ratio', key: 'mask.ratio', values: '0.5, 0.6, 0.75, 0.9' },
    { title: "Decoder's depth", key: 'decoder.depth', values: '1, 2, 4, 8' },
    { title: "Decoder's width", key: 'decoder.embed_dim', values: '64, 128, 256, 512' },
    { title: 'Target', key: 'target.normalised', values: 'true, false' },
    { title: 'Crop', key: 'augment.crop_scale', values: '[0.08, 1], [0.2, 1], [0.5, 1]' },
  ],
  explains: [
    {
      key: 'reconstruction',
      title: 'Reconstruction',
      view: 'Reconstruction',
      answer: {
        pictures: [
          { key: 'masked', title: 'what the encoder sees' },
          { key: 'reconstruction', title: 'reconstruction' },
        ],
        maps: [{ key: 'error', title: 'error of removed patches', unit: 'mean square of the target’s difference' }],
        figures: [
          { key: 'error', title: 'mean error over removed patches', digits: 3 },
          { key: 'nothing', title: 'of predicting nothing', digits: 3 },
        ],
      },
    },
  ],
  lookups: null,
  published: {
    code: 'facebookresearch/mae',
    knownBy: 'a decoder (decoder_embed.weight, mask_token), or fixed positions, the column first (pos_embed)',
    unsaid: [
      { key: 'model.num_heads', label: 'Attention heads' },
      { key: 'decoder.num_heads', label: "Decoder's heads" },
    ],
  },
};
