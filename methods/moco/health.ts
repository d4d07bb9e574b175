import { encode } from '../../electron/engine/encoder.ts';
import type { Health } from '../../electron/engine/health.ts';
import {
  CROP_FIGURES,
  CROP_MEANINGS,
  cropFindings,
  IMAGE_SETS,
  measureCrops,
} from '../../electron/engine/image-health.ts';
import { all } from '../../electron/engine/layers/embed.ts';
import { clsRows } from '../../electron/engine/layers/tokens.ts';
import type { RunConfig } from '../../shared/config.ts';
import { ours } from './config.ts';
import { steadier } from './figures.ts';
import { key, query } from './step.ts';

/** Queries of the student and keys of the teacher: whether crops of an image still find each other, and images differ. */
export const health: Health<RunConfig> = {
  sets: IMAGE_SETS,
  figures: CROP_FIGURES,
  meanings: [
    ...CROP_MEANINGS,
    [
      'Queries and keys',
      'Queries are what the student’s head, and its predictor where there is one, make of first crops; keys what the ' +
        'teacher’s head makes of second crops. BatchNorms use their running statistics. Chen et al., arXiv 2104.02057.',
    ],
  ],
  curves: 'Loss, and keys found, by step',
  together: 1,
  measure(config) {
    const own = ours(config);
    return measureCrops(
      {
        query: ({ student }, images) => query(student, clsRows(encode(student, all(images))), own, 'running'),
        key: ({ teacher }, images) => key(teacher!, images, own, 'running'),
      },
      config.model.image_size,
    );
  },
  findings: (report, config) => cropFindings(report, steadier(config)),
};
