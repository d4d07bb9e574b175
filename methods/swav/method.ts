import type { RunConfig } from '../../shared/config.ts';
import { cropViews } from '../../shared/crops.ts';
import type { FieldMeta, Method } from '../../shared/method.ts';
import { count } from '../../shared/words.ts';
import { check, defaults, ours, sections } from './config.ts';
import { account, rowsOf } from './figures.ts';
import { presets } from './presets.ts';

const fields: Record<string, FieldMeta> = {
  'model.position': { choices: ['absolute', 'none'] },
  'crops.small': { slider: { min: 0, max: 10, step: 1 }, affects: ['speed', 'memory', 'views'] },
  'crops.small_size': { slider: { min: 16, max: 192, step: 8 }, affects: ['speed', 'memory', 'views'] },
  'crops.small_scale': { slider: { min: 0.01, max: 1, step: 0.01 }, affects: ['views'] },
  'head.hidden': { affects: ['speed', 'memory'] },
  'head.out': { affects: ['speed', 'memory'] },
  'head.batch_norm_eps': { label: 'BatchNorm epsilon' },
  'head.batch_norm_momentum': { label: 'BatchNorm momentum' },
  'prototypes.count': { slider: { min: 16, max: 8192, step: 0, log: true }, affects: ['speed', 'memory'] },
  'prototypes.temperature': { slider: { min: 0.01, max: 1, step: 0, log: true } },
  'prototypes.epsilon': { slider: { min: 0.01, max: 0.5, step: 0, log: true } },
  'prototypes.iterations': { slider: { min: 1, max: 10, step: 1 } },
  'queue.length': { affects: ['speed', 'memory'] },
};

/** Codes that use all prototypes alike count as few where there are fewer rows than this share of the prototypes. */
const FEW = 0.5;

function notices(config: RunConfig): string[] {
  const [rows, K] = [rowsOf(config), ours(config).prototypes.count];
  if (rows >= FEW * K) return [];
  return [
    `Codes are balanced over ${count(rows)} crops, and there are ${count(K)} prototypes: nearly every image gets some of its own. ` +
      'Fewer prototypes (prototypes.count) or a longer queue (queue.length) give codes that images share.',
  ];
}

/** Swapping assignments between views: clusters that are found while they are learned from. */
export const method: Method = {
  ...account,
  name: 'swav',
  title: 'SwAV',
  paper: {
    title: 'Unsupervised Learning of Visual Features by Contrasting Cluster Assignments',
    arxiv: '2006.09882',
    year: 2020,
  },
  tags: ['swav', 'clustering'],
  about:
    'Sorts crops among prototypes, of which all are used alike, and says from each crop of an image where the others ' +
    'belong. Good under k-NN, also on small data. The paper has ResNets; here the CLS token of a ViT goes through its ' +
    'head, as in VISSL of the same authors.',
  sections,
  titles: { crops: 'Crops', head: 'Head', prototypes: 'Prototypes', queue: 'Queue' },
  defaults,
  fixed: ['augment.solarize', 'augment.solarize_threshold'],
  check,
  fields,
  presets,
  defaultPreset: 'swav-small-cpu',
  views: (config) => cropViews(config.model, ours(config).crops),
  mask: null,
  notices,
  hasTeacher: false,
  removesHidden: false,
  ablations: [
    { title: 'Small crops', key: 'crops.small', values: '0, 2, 4, 6' },
    { title: 'Prototypes', key: 'prototypes.count', values: '32, 128, 512, 3000' },
    { title: 'Queue', key: 'queue.length', values: '0, 512, 2048' },
    { title: 'Softness of codes', key: 'prototypes.epsilon', values: '0.03, 0.05, 0.1' },
    { title: 'Iterations of Sinkhorn-Knopp', key: 'prototypes.iterations', values: '1, 3, 10' },
    { title: 'Temperature', key: 'prototypes.temperature', values: '0.07, 0.1, 0.2' },
  ],
  explains: [
    {
      key: 'prototypes',
      title: 'Prototypes',
      view: 'Prototypes',
      answer: null,
      groups: { of: 'images', one: 'prototype', many: 'prototypes', value: 'cosine' },
    },
  ],
  lookups: null,
  published: null,
};
