import { encode } from '../../electron/engine/encoder.ts';
import { cropHealth } from '../../electron/engine/image-health.ts';
import { all } from '../../electron/engine/layers/embed.ts';
import { clsRows } from '../../electron/engine/layers/tokens.ts';
import { ours } from './config.ts';
import { steadier } from './figures.ts';
import { key, query } from './step.ts';

/** Queries of the student and keys of the teacher: whether crops of an image still find each other, and images differ. */
export const health = cropHealth({
  heads: (config) => ({
    query: ({ student }, images) => query(student, clsRows(encode(student, all(images))), ours(config), 'running'),
    key: ({ teacher }, images) => key(teacher!, images, ours(config), 'running'),
  }),
  meanings: [
    [
      'Queries and keys',
      'Queries are what the student’s head, and its predictor where there is one, make of first crops; keys what the ' +
        'teacher’s head makes of second crops. BatchNorms use their running statistics. Chen et al., arXiv 2104.02057.',
    ],
  ],
  curves: 'Loss, and keys found, by step',
  advice: steadier,
});
