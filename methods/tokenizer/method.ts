import { gridOf } from '../../shared/config.ts';
import type { FieldMeta, Method } from '../../shared/method.ts';
import { check, defaults, ours, sections, TAKEN_OVER } from './config.ts';
import { account } from './figures.ts';
import { membersOf } from './lending.ts';
import { presets } from './presets.ts';

const fields: Record<string, FieldMeta> = {
  'codebook.codes': { slider: { min: 64, max: 8192, step: 64, log: true }, affects: ['speed', 'memory'] },
  'codebook.width': { label: 'Width', slider: { min: 4, max: 64, step: 4 }, affects: ['speed', 'memory'] },
  'codebook.decay': { slider: { min: 0.8, max: 0.999, step: 0.001 } },
  'codebook.beta': { label: 'Commitment', slider: { min: 0.1, max: 4, step: 0.05 } },
  'codebook.revive_after': { label: 'Move after', fallback: 20, slider: { min: 1, max: 200, step: 1 } },
  'codebook.revive_share': { label: 'Move until', slider: { min: 0, max: 1, step: 0.05 } },
  'decoder.depth': { slider: { min: 1, max: 12, step: 1 }, affects: ['speed', 'memory'] },
  'pixels.distance': { label: 'Distance of pixels' },
  'perceptual.weight': { label: 'Weight', slider: { min: 0, max: 4, step: 0.05 }, affects: ['speed', 'memory'] },
  'perceptual.run': { label: 'Run of the network', fallback: 1 },
  'perceptual.layers': { label: 'Blocks' },
  'perceptual.last_norm': { label: 'Last LayerNorm' },
};

/** What BEiT, mc-BEiT and PeCo need first: images as a few tokens of a codebook, and back. */
export const method: Method = {
  ...account,
  name: 'tokenizer',
  title: 'Tokenizer',
  paper: {
    title: 'BEiT v2: Masked Image Modeling with Vector-Quantized Visual Tokenizers',
    arxiv: '2208.06366',
    year: 2022,
  },
  tags: ['tokenizer', 'vector-quantization'],
  about:
    'Learns to tell each patch of an image by a token out of a codebook, and to draw the image of these. BEiT, mc-BEiT and ' +
    'PeCo predict such tokens; its own features are not meant for much else. Networks and codebook are those of BEiT v2, ' +
    'trained on pixels.',
  sections,
  titles: { codebook: 'Codebook', decoder: 'Decoder', pixels: 'Pixels', perceptual: 'Comparison by features' },
  defaults,
  fixed: [
    ...['model.position', 'model.layer_scale_init', 'augment.mean', 'augment.std'],
    ...['jitter', 'brightness', 'contrast', 'saturation', 'hue', 'gray', 'blur', 'solarize'].map((f) => `augment.${f}`),
    ...['augment.blur_radius', 'augment.solarize_threshold'],
    ...TAKEN_OVER,
  ],
  check,
  fields,
  presets,
  defaultPreset: 'tokenizer-small-cpu',
  command: {
    name: 'tokenizer',
    description: 'train a tokenizer on a dataset, which BEiT, mc-BEiT and PeCo then take over; a run as any other',
  },
  views: ({ model }) => [
    {
      name: 'image',
      title: 'image',
      side: model.image_size,
      geometry: 'geometry',
      colours: 'weak' as const,
      isMasked: false,
    },
  ],
  mask: null,
  notices: () => [],
  hasTeacher: false,
  removesHidden: false,
  ablations: [
    { title: 'Codes', key: 'codebook.codes', values: '128, 256, 512, 1024' },
    { title: 'Width of a code', key: 'codebook.width', values: '8, 16, 32' },
    { title: 'Moving unused codes', key: 'codebook.revive_after', values: '20, null' },
  ],
  explains: [
    {
      key: 'codes',
      title: 'Codes',
      view: 'Codes',
      answer: {
        pictures: [{ key: 'reconstruction', title: 'reconstruction' }],
        maps: [
          { key: 'codes', title: 'codes', unit: 'number of the code' },
          { key: 'error', title: 'error of each cell', unit: 'mean square, -1 to 1' },
        ],
        figures: [
          { key: 'error', title: 'mean error', digits: 4 },
          { key: 'grey', title: 'of each cell its mean colour', digits: 4 },
          { key: 'distinct', title: 'different codes', digits: 0 },
        ],
      },
    },
    membersOf('code'),
  ],
  /** The network that pictures are compared by: any encoder of the workbench whose patches fill the picture. */
  borrows(config) {
    if (ours(config).perceptual.weight === 0) return [];
    const { image_size } = config.model;
    return [
      {
        key: 'perceptual.run',
        what: 'network to compare pictures by',
        prefix: 'features.',
        refuses({ method: { name }, model }) {
          if (name === 'tokenizer') return 'It is a tokenizer itself.';
          if (image_size % model.patch_size !== 0)
            return `Its patches of ${model.patch_size} pixels do not fill ${image_size} pixels.`;
          return model.position === 'shared-relative-bias' && image_size !== model.image_size
            ? `Its relative positions are of ${gridOf(model)} x ${gridOf(model)} patches alone.`
            : null;
        },
        takes: ({ model, augment }) => ({
          ...Object.fromEntries(
            (
              [
                'image_size',
                'patch_size',
                'embed_dim',
                'depth',
                'num_heads',
                'mlp_ratio',
                'position',
                'layer_scale_init',
              ] as const
            ).map((field) => [`perceptual.${field}`, model[field]]),
          ),
          'perceptual.mean': augment.mean,
          'perceptual.std': augment.std,
        }),
        make: { command: 'pretrain', options: '', preset: 'small-cpu', changes: {} },
      },
    ];
  },
  published: null,
  lookups: null,
};
