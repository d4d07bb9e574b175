import { encode } from '../../electron/engine/encoder.ts';
import type { HealthNetworks } from '../../electron/engine/health.ts';
import { cropHealth } from '../../electron/engine/image-health.ts';
import { all, type Images } from '../../electron/engine/layers/embed.ts';
import { project } from '../../electron/engine/layers/head.ts';
import { clsRows, unit } from '../../electron/engine/layers/tokens.ts';
import { ours } from './config.ts';
import { livelier } from './figures.ts';
import { headOf } from './network.ts';

/** Features of the head: whether crops of an image still find each other, and images differ. */
export const health = cropHealth({
  heads(config) {
    const head = headOf(ours(config));
    const projected = ({ student }: HealthNetworks, images: Images) =>
      unit(project(student, head, clsRows(encode(student, all(images))), 'running'));
    return { query: projected, key: projected };
  },
  meanings: [
    [
      'Keys',
      'What the head makes of second crops; those of first crops look for them. BatchNorms use their running statistics. ' +
        'Chen et al., arXiv 2002.05709.',
    ],
  ],
  curves: 'Loss, and partners found, by step',
  advice: livelier,
});
