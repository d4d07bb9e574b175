import { cropViews } from '../../shared/crops.ts';
import type { FieldMeta, Method } from '../../shared/method.ts';
import { check, defaults, ours, sections } from './config.ts';
import { account } from './figures.ts';
import { makeMask } from './mask.ts';
import { presets } from './presets.ts';

const temperature: FieldMeta = { slider: { min: 0.01, max: 0.2, step: 0.005 } };
const fields: Record<string, FieldMeta> = {
  'model.position': { choices: ['absolute'] },
  'crops.small': { slider: { min: 0, max: 12, step: 1 }, affects: ['speed', 'memory', 'views'] },
  'crops.small_size': { slider: { min: 16, max: 192, step: 8 }, affects: ['speed', 'memory', 'views'] },
  'crops.small_scale': { slider: { min: 0.01, max: 1, step: 0.01 }, affects: ['views'] },
  'mask.kind': { affects: ['views'] },
  'mask.unmasked': { slider: { min: 0, max: 1, step: 0.05 }, affects: ['views'] },
  'mask.ratio': { slider: { min: 0.05, max: 0.95, step: 0.01 }, affects: ['views'] },
  'mask.ratio_var': { slider: { min: 0, max: 0.5, step: 0.01 }, affects: ['views'] },
  'head.layers': { affects: ['speed', 'memory'] },
  'head.hidden': { affects: ['speed', 'memory'] },
  'head.bottleneck': { affects: ['speed', 'memory'] },
  'head.out': { label: 'Classes', slider: { min: 64, max: 65_536, step: 0, log: true }, affects: ['speed', 'memory'] },
  'head.shared': { label: 'One last layer', affects: ['memory'] },
  'temperatures.student': temperature,
  'temperatures.teacher_start': temperature,
  'temperatures.teacher': temperature,
  'temperatures.patch_start': temperature,
  'temperatures.patch': temperature,
  'momentum.schedule': { affects: ['speed'], choices: ['cosine', 'constant'] },
  'momentum.start': { slider: { min: 0.9, max: 1, step: 0.001 } },
  'momentum.end': { slider: { min: 0.9, max: 1, step: 0.001 } },
};

/** Blur and solarisation of each crop (`DataAugmentationiBOT` of main_ibot.py). */
const COLOURS = {
  large: [
    { blur: 1, solarize: 0 },
    { blur: 0.1, solarize: 0.2 },
  ],
  small: { blur: 0.5, solarize: 0 },
};

/** Image BERT with an online tokenizer: DINO on CLS, and the same on masked patches. */
export const method: Method = {
  ...account,
  name: 'ibot',
  title: 'iBOT',
  paper: { title: 'iBOT: Image BERT Pre-Training with Online Tokenizer', arxiv: '2111.07832', year: 2022 },
  tags: ['ibot', 'masked-image-modeling', 'self-distillation'],
  about:
    'A teacher that follows slowly sorts whole crops and their patches into classes of its own; the student must say the ' +
    'same of other crops and of masked patches. Strong under k-NN and for dense tasks; steps are long.',
  sections,
  titles: {
    crops: 'Crops',
    mask: 'Mask',
    head: 'Head',
    temperatures: 'Temperatures',
    centres: 'Centres',
    loss: 'Loss',
    momentum: "Teacher's momentum",
  },
  defaults,
  fixed: ['augment.blur', 'augment.solarize'],
  check,
  fields,
  presets,
  defaultPreset: 'ibot-small-cpu',
  views: (config) =>
    cropViews(config.model, ours(config).crops, (kind, i) =>
      kind === 'large' ? COLOURS.large[i]! : COLOURS.small,
    ).map((view, i) => ({ ...view, isMasked: i < COLOURS.large.length })),
  mask: (config, shape, random) => makeMask(ours(config), shape, random),
  notices: () => [],
  hasTeacher: true,
  removesHidden: false,
  ablations: [
    { title: 'Small crops', key: 'crops.small', values: '0, 2, 6, 10' },
    { title: 'Mask', key: 'mask.kind', values: 'block, random' },
    { title: 'Crops without a mask', key: 'mask.unmasked', values: '0, 0.5' },
    { title: 'Term of patches', key: 'loss.patch', values: '0, 0.5, 1' },
    { title: 'Last layer', key: 'head.shared', values: 'true, false' },
    { title: 'Classes', key: 'head.out', values: '256, 1024, 8192' },
    { title: 'Temperature of the teacher', key: 'temperatures.teacher', values: '0.04, 0.07' },
  ],
  explains: [
    {
      key: 'classes',
      title: 'Classes of patches',
      view: 'Classes',
      answer: {
        pictures: [{ key: 'classes', title: 'patches in the colours of their classes' }],
        maps: [
          { key: 'class', title: 'class', unit: 'number' },
          { key: 'certainty', title: 'probability of the class', unit: '' },
        ],
        figures: [
          { key: 'classes', title: 'classes in the image', digits: 0 },
          { key: 'entropy', title: 'mean entropy of a patch, nats', digits: 2 },
        ],
      },
    },
    {
      key: 'members',
      title: 'Patches of each class',
      view: 'Members',
      answer: null,
      groups: { of: 'patches', one: 'class', many: 'classes', value: 'probability' },
    },
  ],
  lookups: null,
  published: {
    code: 'bytedance/ibot',
    knownBy:
      'masked_embed, head.last_layer2 or ibot_loss, or is nothing but an encoder with one bias for queries, keys and values ' +
      '(blocks.….attn.qkv.bias) and trained positions',
    unsaid: [{ key: 'model.num_heads', label: 'Attention heads' }],
  },
};
