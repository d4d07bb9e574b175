import { makeMask } from '../../shared/masking.ts';
import type { Method } from '../../shared/method.ts';
import { fields, tokensExplained, viewsOf } from '../beit/method.ts';
import { borrowsTokenizer, membersOf, TAKEN } from '../tokenizer/lending.ts';
import { check, defaults, ours, sections } from './config.ts';
import { account } from './figures.ts';
import { presets } from './presets.ts';

/** BEiT with several right tokens for each patch, which alike patches share. */
export const method: Method = {
  ...account,
  name: 'mc-beit',
  title: 'mc-BEiT',
  paper: { title: 'mc-BEiT: Multi-choice Discretization for Image BERT Pre-training', arxiv: '2203.15371', year: 2022 },
  tags: ['mc-beit', 'masked-image-modeling'],
  about:
    'BEiT with a distribution over tokens as the target of each hidden patch, mixed among patches that the student finds ' +
    'alike. Its tokenizer is trained first, here on the same images (the paper took one with 8,192 codes that was trained ' +
    'on others). Of a codebook of unit codes the targets are softmax(cosine / temperature), which is not published.',
  sections,
  titles: { mask: 'Mask', targets: 'Targets', tokenizer: 'Tokenizer', student: 'Student' },
  defaults,
  fixed: [
    ...TAKEN,
    ...['jitter', 'brightness', 'contrast', 'saturation', 'hue', 'gray', 'blur', 'solarize'].map((f) => `augment.${f}`),
    ...['augment.blur_radius', 'augment.solarize_threshold'],
  ],
  check,
  fields: {
    ...fields,
    'targets.temperature': { fallback: 0.03, slider: { min: 0.001, max: 10, step: 0, log: true } },
    'targets.omega': { label: 'Shared part', slider: { min: 0, max: 1, step: 0.05 } },
    'targets.similarity_temperature': { slider: { min: 0.05, max: 2, step: 0, log: true } },
    'targets.through_similarity': { label: 'Gradient through likeness' },
  },
  presets,
  defaultPreset: 'mc-beit-small-cpu',
  views: viewsOf('weak'),
  mask: (config, shape, random) => makeMask(ours(config).mask, shape, random),
  notices: () => [],
  hasTeacher: false,
  removesHidden: false,
  ablations: [
    { title: 'Shared part', key: 'targets.omega', values: '0, 0.2, 0.5' },
    { title: 'Temperature of targets', key: 'targets.temperature', values: 'null, 0.01, 0.05' },
    { title: 'Mask generator', key: 'mask.kind', values: 'block, uniform' },
  ],
  explains: [tokensExplained, membersOf('token')],
  borrows: (config) => [borrowsTokenizer(config, 'pixels')],
  published: {
    code: 'lixiaotong97/mc-BEiT',
    knownBy: 'the tensors that BEiT has, and is read as its own where one says so',
    unsaid: [{ key: 'model.num_heads', label: 'Attention heads' }],
  },
  lookups: null,
};
