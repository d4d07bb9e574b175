import { encode } from '../../electron/engine/encoder.ts';
import type { HealthNetworks } from '../../electron/engine/health.ts';
import { cropHealth } from '../../electron/engine/image-health.ts';
import { all, type Images } from '../../electron/engine/layers/embed.ts';
import { project } from '../../electron/engine/layers/head.ts';
import { clsRows, unit } from '../../electron/engine/layers/tokens.ts';
import { ours } from './config.ts';
import { prototypes } from './explain.ts';
import { steadier } from './figures.ts';
import { headOf } from './network.ts';

/** Embeddings and prototypes: whether images fall to several, both crops of one to the same, and differ. */
export const health = cropHealth({
  heads(config) {
    const embedded = ({ student }: HealthNetworks, images: Images) => {
      const features = clsRows(encode(student, all(images)));
      return unit(project(student, headOf(ours(config), features.width), features, 'running'));
    };
    return { query: embedded, key: embedded };
  },
  groups: {
    key: 'prototypes',
    title: 'prototypes',
    inUse: 'Prototypes in use',
    scores: ({ student }, images, config) => prototypes(student, images, config),
  },
  meanings: [
    [
      'Prototypes in use',
      'exp of the entropy of how often each prototype is the nearest of an image: so many equally frequent ones would have this entropy. No ' +
        'balance is forced, as it is on the codes of a training. Caron et al., arXiv 2006.09882.',
    ],
    [
      'Keys',
      'Embeddings of second crops; those of first crops look for them. BatchNorms use their running statistics.',
    ],
  ],
  curves: 'Loss, and agreement of crops, by step',
  advice: steadier,
});
