import { encode } from '../../electron/engine/encoder.ts';
import type { Health, HealthNetworks } from '../../electron/engine/health.ts';
import {
  CROP_FIGURES,
  CROP_MEANINGS,
  cropFindings,
  IMAGE_SETS,
  measureCrops,
} from '../../electron/engine/image-health.ts';
import { all, type Images } from '../../electron/engine/layers/embed.ts';
import { project } from '../../electron/engine/layers/head.ts';
import { clsRows, unit } from '../../electron/engine/layers/tokens.ts';
import type { RunConfig } from '../../shared/config.ts';
import { ours } from './config.ts';
import { livelier } from './figures.ts';
import { headOf } from './network.ts';

/** Features of the head: whether crops of an image still find each other, and images differ. */
export const health: Health<RunConfig> = {
  sets: IMAGE_SETS,
  figures: CROP_FIGURES,
  meanings: [
    ...CROP_MEANINGS,
    [
      'Keys',
      'What the head makes of second crops; those of first crops look for them. BatchNorms use their running statistics. ' +
        'Chen et al., arXiv 2002.05709.',
    ],
  ],
  curves: 'Loss, and partners found, by step',
  together: 1,
  measure(config) {
    const head = headOf(ours(config));
    const projected = ({ student }: HealthNetworks, images: Images) =>
      unit(project(student, head, clsRows(encode(student, all(images))), 'running'));
    return measureCrops({ query: projected, key: projected }, config.model.image_size);
  },
  findings: (report, config) => cropFindings(report, livelier(config)),
};
