import { gridOf, type RunConfig } from '../../shared/config.ts';
import { makeMask } from '../../shared/masking.ts';
import type { Explanation, FieldMeta, Method, ViewSpec } from '../../shared/method.ts';
import { borrowsTokenizer, membersOf, TAKEN } from '../tokenizer/lending.ts';
import { check, defaults, ours, sections } from './config.ts';
import { account } from './figures.ts';
import { presets } from './presets.ts';

export const fields: Record<string, FieldMeta> = {
  'model.position': { choices: ['shared-relative-bias', 'absolute', 'none'] },
  'mask.kind': { affects: ['views'] },
  'mask.ratio': { slider: { min: 0.05, max: 0.95, step: 0.01 }, affects: ['views'] },
  'mask.unit': { slider: { min: 8, max: 112, step: 8 }, affects: ['views'] },
  'mask.block_min_patches': { slider: { min: 1, max: 64, step: 1 }, affects: ['views'] },
  'mask.block_max_patches': { fallback: 32, affects: ['views'] },
  'tokenizer.run': { label: 'Run of the tokenizer', fallback: 1 },
  'student.drop_path': { label: 'Drop path', slider: { min: 0, max: 0.5, step: 0.01 } },
};

/** One crop, twice: the student's by the run's filter, and the tokenizer's, which has a cell for each patch, by Lanczos. */
export const viewsOf =
  (colours: ViewSpec['colours']) =>
  (config: RunConfig): ViewSpec[] => {
    const { model, tokenizer } = ours(config);
    const side = gridOf(model) * tokenizer.patch_size;
    const common = { geometry: 'geometry', colours };
    return [
      { ...common, name: 'image', title: 'student', side: model.image_size, isMasked: true },
      { ...common, name: 'tokenizer', title: 'tokenizer', side, interpolation: 'lanczos', isMasked: false },
    ];
  };

/** What is said of hidden patches, as codes and as pictures. */
export const tokensExplained: Explanation = {
  key: 'tokens',
  title: 'Tokens',
  view: 'Tokens',
  answer: {
    pictures: [
      { key: 'true', title: 'of its true tokens' },
      { key: 'said', title: 'of what it says' },
    ],
    maps: [
      { key: 'codes', title: 'true tokens', unit: 'number of the token' },
      { key: 'said', title: 'likeliest tokens', unit: 'number of the token' },
      { key: 'probability', title: 'probability of the true token', unit: 'share' },
    ],
    figures: [
      { key: 'accuracy', title: 'share of hidden patches whose token was found', digits: 3 },
      { key: 'loss', title: 'mean cross-entropy, nats', digits: 3 },
      { key: 'distinct', title: 'different tokens in the image', digits: 0 },
    ],
  },
};

/** Bidirectional encoder representation from image transformers. */
export const method: Method = {
  ...account,
  name: 'beit',
  title: 'BEiT',
  paper: { title: 'BEiT: BERT Pre-Training of Image Transformers', arxiv: '2106.08254', year: 2022 },
  tags: ['beit', 'masked-image-modeling'],
  about:
    'Says of each hidden patch which token a tokenizer gives to it. Its tokenizer is trained first, here on the same images, ' +
    'with a codebook of BEiT v2 (the paper took one that was trained on others). Strong when fine-tuned, weak under k-NN.',
  sections,
  titles: { mask: 'Mask', tokenizer: 'Tokenizer', student: 'Student' },
  defaults,
  fixed: [
    ...TAKEN,
    ...['hue', 'gray', 'blur', 'solarize', 'blur_radius', 'solarize_threshold'].map((f) => `augment.${f}`),
  ],
  check,
  fields,
  presets,
  defaultPreset: 'beit-small-cpu',
  views: viewsOf({ whole: 'colours' }),
  mask: (config, shape, random) => makeMask(ours(config).mask, shape, random),
  notices: () => [],
  hasTeacher: false,
  removesHidden: false,
  ablations: [
    { title: 'Mask ratio', key: 'mask.ratio', values: '0.25, 0.4, 0.6' },
    { title: 'Mask generator', key: 'mask.kind', values: 'block, uniform' },
    { title: 'Drop path', key: 'student.drop_path', values: '0, 0.1' },
  ],
  explains: [tokensExplained, membersOf('token')],
  borrows: (config) => [borrowsTokenizer(config, 'pixels')],
  published: {
    code: 'microsoft/unilm, beit',
    knownBy: 'a head that says tokens (lm_head.weight), and no projector',
    unsaid: [{ key: 'model.num_heads', label: 'Attention heads' }],
  },
  lookups: null,
};
