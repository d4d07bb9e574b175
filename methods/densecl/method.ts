import type { RunConfig } from '../../shared/config.ts';
import { queueNotices } from '../../shared/key-queue.ts';
import type { FieldMeta, Method } from '../../shared/method.ts';
import { twoCrops } from '../../shared/views.ts';
import { check, defaults, ours, sections } from './config.ts';
import { account } from './figures.ts';
import { presets } from './presets.ts';

const fields: Record<string, FieldMeta> = {
  'model.position': { choices: ['fixed-sincos', 'absolute', 'none'] },
  'contrast.temperature': { slider: { min: 0.01, max: 1, step: 0, log: true } },
  'contrast.queue': { slider: { min: 64, max: 65_536, step: 1, log: true }, affects: ['speed', 'memory'] },
  'dense.lambda': { slider: { min: 0, max: 1, step: 0.05 } },
  'dense.start_steps': { slider: { min: 0, max: 5000, step: 50 } },
  'neck.hidden': { affects: ['speed', 'memory'] },
  'neck.out': { affects: ['speed', 'memory'] },
  'encoder.decay_all': { label: 'Decay on everything' },
  'momentum.schedule': { affects: ['speed'], choices: ['constant', 'cosine'] },
  'momentum.start': { slider: { min: 0.9, max: 1, step: 0.001 } },
  'momentum.end': { slider: { min: 0.9, max: 1, step: 0.001 } },
};

/** Momentum contrast of whole crops and of patches, each of which is matched with one of the other crop. */
export const method: Method = {
  ...account,
  name: 'densecl',
  title: 'DenseCL',
  paper: {
    title: 'Dense Contrastive Learning for Self-Supervised Visual Pre-Training',
    arxiv: '2011.09157',
    year: 2021,
  },
  tags: ['densecl', 'contrastive'],
  about:
    'Finds each patch of a crop in another crop of the image, among keys of other images, and the whole crop beside it. For ' +
    'dense tasks. The paper has ResNets: here both heads stand on the patch tokens of a ViT, which is put together of published ' +
    'parts, and encoder and optimizer are those of MoCo v3.',
  sections,
  titles: {
    contrast: 'Contrast',
    dense: 'Patches',
    neck: 'Heads',
    encoder: 'Encoder',
    momentum: "Teacher's momentum",
  },
  defaults,
  fixed: ['model.init_std'],
  check,
  fields,
  presets,
  defaultPreset: 'densecl-small-cpu',
  views: ({ model }) => twoCrops(model.image_size),
  mask: null,
  notices,
  hasTeacher: true,
  peakAfterWarmup: true,
  removesHidden: false,
  ablations: [
    { title: 'Weight of the loss of patches', key: 'dense.lambda', values: '0, 0.3, 0.5, 0.7, 1' },
    { title: 'Steps without it', key: 'dense.start_steps', values: '0, 300, 1000' },
    { title: 'Queue', key: 'contrast.queue', values: '128, 512, 2048' },
    { title: 'Temperature', key: 'contrast.temperature', values: '0.1, 0.2, 0.5' },
    { title: 'Momentum', key: 'momentum.start', values: '0.9, 0.99, 0.999' },
    { title: 'Positions', key: 'model.position', values: 'fixed-sincos, absolute, none' },
    { title: 'Crop', key: 'augment.crop_scale', values: '[0.08, 1], [0.2, 1], [0.5, 1]' },
  ],
  explains: [
    {
      key: 'matches',
      title: 'Matches',
      view: 'Matches',
      answer: {
        batch: 1,
        pictures: [],
        maps: [
          { key: 'match', title: 'patch of the second crop', unit: 'number' },
          { key: 'cosine', title: 'cosine with it', unit: '' },
        ],
        figures: [
          { key: 'distinct', title: 'patches that are matched', digits: 0 },
          { key: 'same', title: 'matched at the same place', digits: 0 },
          { key: 'cosine', title: 'mean cosine of matches', digits: 3 },
        ],
      },
    },
  ],
  lookups: null,
  published: null,
};

/** What follows from the queues, and from a weight that leaves a loss out. */
function notices(config: RunConfig, _masked: number, images?: number): string[] {
  const { contrast, dense, train } = ours(config);
  const said = queueNotices(contrast.queue, train, images);
  if (dense.lambda === 0)
    said.push('dense.lambda is 0: patches are matched and looked at, but nothing is learned of them. That is MoCo v2.');
  return said;
}
