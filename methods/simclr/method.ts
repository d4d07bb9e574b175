import type { RunConfig } from '../../shared/config.ts';
import type { FieldMeta, Method } from '../../shared/method.ts';
import { twoCrops } from '../../shared/views.ts';
import { check, defaults, sections } from './config.ts';
import { account } from './figures.ts';
import { presets } from './presets.ts';

const fields: Record<string, FieldMeta> = {
  'contrast.temperature': { slider: { min: 0.01, max: 1, step: 0, log: true } },
  'head.layers': { slider: { min: 1, max: 4, step: 1 }, affects: ['speed', 'memory'] },
  'head.hidden': { affects: ['speed', 'memory'] },
  'head.out': { affects: ['speed', 'memory'] },
  'head.batch_norm_eps': { label: 'BatchNorm epsilon' },
  'head.batch_norm_momentum': { label: 'BatchNorm momentum' },
  'encoder.decay_all': { label: 'Decay on everything' },
};

/** Two crops of every image; each finds its partner among all crops of the batch. */
export const method: Method = {
  ...account,
  name: 'simclr',
  title: 'SimCLR',
  paper: {
    title: 'A Simple Framework for Contrastive Learning of Visual Representations',
    arxiv: '2002.05709',
    year: 2020,
  },
  tags: ['simclr', 'contrastive'],
  about:
    'Each of two crops of an image finds the other among all crops of the batch; one network, nothing else. Strong under ' +
    'k-NN; asks for large batches. The paper has a ResNet: encoder, head and optimizer for a ViT are those of MoCo v3.',
  sections,
  titles: { contrast: 'Contrast', head: 'Head', encoder: 'Encoder' },
  defaults,
  fixed: ['model.position', 'model.init_std'],
  check,
  fields,
  presets,
  defaultPreset: 'simclr-small-cpu',
  views: ({ model }) => twoCrops(model.image_size),
  mask: null,
  notices,
  hasTeacher: false,
  peakAfterWarmup: true,
  removesHidden: false,
  ablations: [
    { title: 'Temperature', key: 'contrast.temperature', values: '0.05, 0.1, 0.2, 0.5, 1' },
    { title: 'Images of a batch', key: 'train.batch_size', values: '32, 64, 128, 256' },
    { title: 'Head', key: 'head.layers', values: '1, 2, 3' },
    { title: 'Patch embedding', key: 'encoder.frozen_patch_embedding', values: 'true, false' },
    { title: 'Jitter', key: 'augment.jitter', values: '0, 0.4, 0.8' },
    { title: 'Crop', key: 'augment.crop_scale', values: '[0.08, 1], [0.2, 1], [0.5, 1]' },
  ],
  explains: [
    {
      key: 'pairs',
      title: 'Pairs',
      view: 'Pairs',
      answer: {
        batch: 12,
        pictures: [],
        maps: [],
        pairs: [
          { key: 'cosine', title: 'cosine of two crops', rows: ['first', 'second'], columns: ['first', 'second'] },
        ],
        figures: [
          { key: 'found', title: 'crops nearest to their partner, %', digits: 0 },
          { key: 'own', title: 'mean cosine of partners', digits: 3 },
          { key: 'others', title: 'of crops of other images', digits: 3 },
        ],
      },
    },
  ],
  lookups: null,
  published: null,
};

/** What the candidates are, where that is not what the step's images say. */
function notices({ train }: RunConfig): string[] {
  if (train.accumulation === 1) return [];
  return [
    `Each crop looks among the ${2 * train.batch_size} of its micro-batch, not among the ` +
      `${2 * train.batch_size * train.accumulation} of its step: train.accumulation does not widen the choice. A larger ` +
      'train.batch_size does; train.recompute makes room for it.',
  ];
}
