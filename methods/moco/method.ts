import type { RunConfig } from '../../shared/config.ts';
import { queueNotices } from '../../shared/key-queue.ts';
import type { FieldMeta, Method } from '../../shared/method.ts';
import { twoCrops } from '../../shared/views.ts';
import { check, defaults, ours, sections } from './config.ts';
import { account } from './figures.ts';
import { presets } from './presets.ts';

const fields: Record<string, FieldMeta> = {
  'contrast.dictionary': { affects: ['speed', 'memory'] },
  'contrast.temperature': { slider: { min: 0.01, max: 1, step: 0, log: true } },
  'contrast.queue': { slider: { min: 64, max: 65_536, step: 1, log: true }, affects: ['speed', 'memory'] },
  'head.layers': { slider: { min: 1, max: 4, step: 1 }, affects: ['speed', 'memory'] },
  'head.hidden': { affects: ['speed', 'memory'] },
  'head.out': { affects: ['speed', 'memory'] },
  'head.batch_norm_eps': { label: 'BatchNorm epsilon' },
  'head.batch_norm_momentum': { label: 'BatchNorm momentum' },
  'predictor.layers': { slider: { min: 1, max: 4, step: 1 }, affects: ['speed', 'memory'] },
  'predictor.hidden': { affects: ['speed', 'memory'] },
  'second.blur': { affects: ['views'] },
  'second.solarize': { affects: ['views'] },
  'encoder.decay_all': { label: 'Decay on everything' },
  'momentum.schedule': { affects: ['speed'] },
  'momentum.start': { slider: { min: 0.9, max: 1, step: 0.001 } },
  'momentum.end': { slider: { min: 0.9, max: 1, step: 0.001 } },
};

/** Momentum contrast: the two crops of an image are found among those of others. */
export const method: Method = {
  ...account,
  name: 'moco',
  title: 'MoCo',
  paper: {
    title: 'An Empirical Study of Training Self-Supervised Vision Transformers',
    arxiv: '2104.02057',
    year: 2021,
  },
  tags: ['moco', 'contrastive'],
  about:
    'Finds an image by another crop of it, among the images of the batch (v3) or of a queue (v1, v2, MoBY). Strong under ' +
    'k-NN and linear probes; knows little about places within an image. The queue on a ViT is put together of published parts.',
  sections,
  titles: {
    contrast: 'Contrast',
    head: 'Head',
    predictor: 'Predictor',
    second: 'Second view',
    encoder: 'Encoder',
    momentum: "Teacher's momentum",
  },
  defaults,
  fixed: ['model.position', 'model.init_std'],
  check,
  fields,
  presets,
  defaultPreset: 'moco-small-cpu',
  views: (config) => twoCrops(config.model.image_size, ours(config).second),
  mask: null,
  notices,
  hasTeacher: true,
  peakAfterWarmup: true,
  removesHidden: false,
  ablations: [
    { title: 'Dictionary', key: 'contrast.dictionary', values: 'batch, queue, queues' },
    { title: 'Temperature', key: 'contrast.temperature', values: '0.1, 0.2, 0.5, 1' },
    { title: 'Images of a batch', key: 'train.batch_size', values: '32, 64, 128, 256' },
    { title: 'Patch embedding', key: 'encoder.frozen_patch_embedding', values: 'true, false' },
    { title: 'Momentum', key: 'momentum.start', values: '0.9, 0.99, 0.996' },
    { title: 'Predictor', key: 'predictor.layers', values: '1, 2' },
    { title: 'Crop', key: 'augment.crop_scale', values: '[0.08, 1], [0.2, 1], [0.5, 1]' },
  ],
  explains: [
    {
      key: 'nearest',
      title: 'Nearest',
      view: 'Nearest',
      answer: {
        batch: 24,
        pictures: [],
        maps: [],
        pairs: [{ key: 'cosine', title: 'cosine of query and key', rows: ['first'], columns: ['second'] }],
        figures: [
          { key: 'own', title: 'cosine with its own key', digits: 3 },
          { key: 'above', title: 'other candidates that are nearer', digits: 0 },
          { key: 'among', title: 'candidates', digits: 0 },
        ],
      },
    },
  ],
  lookups: null,
  published: {
    code: 'facebookresearch/moco-v3',
    knownBy: 'a momentum encoder (base_encoder, momentum_encoder), or fixed positions, the row first (pos_embed)',
    unsaid: [{ key: 'model.num_heads', label: 'Attention heads' }],
  },
};

/** What the candidates are, where that is not what the step's images and the queue's length say. */
function notices(config: RunConfig, _masked: number, images?: number): string[] {
  const { contrast, train } = ours(config);
  if (contrast.dictionary !== 'batch') return queueNotices(contrast.queue, train, images);
  if (train.accumulation === 1) return [];
  return [
    `Each query looks among the ${train.batch_size} images of its micro-batch, not among the ` +
      `${train.batch_size * train.accumulation} of its step: train.accumulation does not widen the dictionary. A larger ` +
      'train.batch_size does; train.recompute makes room for it.',
  ];
}
