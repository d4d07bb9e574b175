import { patchesOf, type RunConfig } from '../../shared/config.ts';
import { makeMask } from '../../shared/masking.ts';
import type { FieldMeta, Method } from '../../shared/method.ts';
import { percent, plural } from '../../shared/words.ts';
import { check, ours, sections } from './config.ts';
import { account } from './figures.ts';
import { presets } from './presets.ts';

const fields: Record<string, FieldMeta> = {
  'model.position': { choices: ['shared-relative-bias', 'absolute', 'none'] },
  'projector.layers': { slider: { min: 1, max: 8, step: 1 }, affects: ['speed', 'memory'] },
  'projector.hidden': { affects: ['speed', 'memory'] },
  'projector.out': { affects: ['speed', 'memory'] },
  'projector.batch_norm_eps': { label: 'BatchNorm epsilon' },
  'projector.batch_norm_momentum': { label: 'BatchNorm momentum' },
  'contrast.temperature': { slider: { min: 0.01, max: 1, step: 0, log: true } },
  'contrast.dictionary': { affects: ['speed', 'memory'] },
  'mask.kind': { affects: ['views'] },
  'mask.ratio': { slider: { min: 0.05, max: 0.95, step: 0.01 }, affects: ['views'] },
  'mask.unit': { slider: { min: 8, max: 112, step: 8 }, affects: ['views'] },
  'mask.block_min_patches': { slider: { min: 1, max: 64, step: 1 }, affects: ['views'] },
  'mask.block_max_patches': { fallback: 32, affects: ['views'] },
  'views.teacher': { affects: ['views'] },
  'views.student': { affects: ['views'] },
  'momentum.schedule': { affects: ['speed'] },
  'momentum.start': { slider: { min: 0.9, max: 1, step: 0.001 } },
  'momentum.end': { slider: { min: 0.9, max: 1, step: 0.001 } },
};

/** Masked image modeling with denoising contrast. */
export const method: Method = {
  ...account,
  name: 'conmim',
  title: 'ConMIM',
  paper: { title: 'Masked Image Modeling with Denoising Contrast', arxiv: '2205.09616', year: 2023 },
  tags: ['conmim', 'masked-image-modeling'],
  about:
    'Each masked patch looks up its own place among the patches of its full image, as a teacher that follows slowly ' +
    'sees it. Learns both where and what; strong when fine-tuned.',
  sections,
  titles: {
    views: 'Views',
    mask: 'Mask',
    contrast: 'Contrast',
    momentum: "Teacher's momentum",
    projector: 'Projector',
  },
  defaults: {},
  fixed: [],
  check,
  fields,
  presets,
  defaultPreset: 'small-cpu',
  views(config) {
    const { teacher, student } = ours(config).views;
    const common = { side: config.model.image_size, geometry: 'geometry' };
    return [
      { ...common, name: 'student', title: 'student', colours: student, isMasked: true },
      {
        ...common,
        name: 'teacher',
        title: 'teacher',
        colours: teacher === 'same' ? { same: 'student' } : teacher,
        isMasked: false,
      },
    ];
  },
  mask: (config, shape, random) => makeMask(ours(config).mask, shape, random),
  notices: maskNotices,
  hasTeacher: true,
  removesHidden: false,
  ablations: [
    { title: "Teacher's view", key: 'views.teacher', values: 'strong, weak, same' },
    { title: 'Momentum', key: 'momentum.schedule', values: 'cosine, constant, none' },
    { title: 'Mask generator', key: 'mask.kind', values: 'random_mps32, block, uniform' },
    { title: 'Mask ratio', key: 'mask.ratio', values: '0.4, 0.6, 0.75, 0.9' },
    { title: 'Temperature', key: 'contrast.temperature', values: '0.05, 0.1, 0.2' },
    { title: 'Dictionary', key: 'contrast.dictionary', values: 'image, batch' },
    { title: 'Projector', key: 'projector.layers', values: '1, 2, 3' },
  ],
  explains: [{ key: 'lookups', title: 'Look-ups', view: 'LookUps', answer: null }],
  lookups: {
    keys(config) {
      const K = patchesOf(config.model);
      return ours(config).contrast.dictionary === 'batch' ? K * config.train.batch_size : K;
    },
    strip: 'Probes',
  },
  published: {
    code: 'TencentARC/ConMIM',
    knownBy: 'tensors named projectors.…, or an encoder as BEiT has it (blocks.….attn.q_bias)',
    unsaid: [{ key: 'model.num_heads', label: 'Attention heads' }],
  },
};

/** A share of masked patches that differs more from what was asked for is said. */
const NEAR = 0.05;

/** That an image has too few units or patches for the ratio; blocks differ from image to image. */
function maskNotices(config: RunConfig, masked: number): string[] {
  const { mask, model } = ours(config);
  if (mask.kind === 'block') return [];
  const K = patchesOf(model);
  if (Math.abs(masked / K - mask.ratio) <= NEAR) return [];
  const units = (model.image_size / mask.unit) ** 2;
  const why =
    mask.kind === 'random_mps32'
      ? `an image has ${plural(units, 'unit')} of mask.unit=${mask.unit} pixels. A smaller mask.unit comes nearer`
      : `an image has ${K} patches. A smaller model.patch_size comes nearer`;
  return [`${masked} of ${K} patches are masked (${percent(masked / K, 0)}), and mask.ratio is ${mask.ratio}: ${why}.`];
}
