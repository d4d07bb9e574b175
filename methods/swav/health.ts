import { encode } from '../../electron/engine/encoder.ts';
import type { Health, HealthNetworks } from '../../electron/engine/health.ts';
import {
  CROP_FIGURES,
  CROP_MEANINGS,
  cropFindings,
  GroupCounts,
  groupFigures,
  groupFindings,
  IMAGE_SETS,
  measureCrops,
} from '../../electron/engine/image-health.ts';
import { all, type Images } from '../../electron/engine/layers/embed.ts';
import { project } from '../../electron/engine/layers/head.ts';
import { clsRows, unit } from '../../electron/engine/layers/tokens.ts';
import type { RunConfig } from '../../shared/config.ts';
import { ours } from './config.ts';
import { prototypes } from './explain.ts';
import { steadier } from './figures.ts';
import { headOf } from './network.ts';

/** Embeddings and prototypes: whether images fall to several, both crops of one to the same, and differ. */
export const health: Health<RunConfig> = {
  sets: IMAGE_SETS,
  figures: [...groupFigures('prototypes', 'Prototypes in use'), ...CROP_FIGURES],
  meanings: [
    ...CROP_MEANINGS,
    [
      'Prototypes in use',
      'exp of the entropy of how often each prototype is the nearest of an image: as many as would be used as evenly. No ' +
        'balance is forced, as it is on the codes of a training. Caron et al., arXiv 2006.09882.',
    ],
    [
      'Keys',
      'Embeddings of second crops; those of first crops look for them. BatchNorms use their running statistics.',
    ],
  ],
  curves: 'Loss, and agreement of crops, by step',
  together: 1,
  measure(config) {
    const side = config.model.image_size;
    const embedded = ({ student }: HealthNetworks, images: Images) => {
      const features = clsRows(encode(student, all(images)));
      return unit(project(student, headOf(ours(config), features.width), features, 'running'));
    };
    const crops = measureCrops({ query: embedded, key: embedded }, side);
    const groups = new GroupCounts({ scores: ({ student }, images) => prototypes(student, images, config) }, side);
    return {
      add(networks, batch) {
        crops.add(networks, batch);
        groups.add(networks, batch.images);
      },
      result() {
        const [found, used] = [crops.result(), groups.result('prototypes')];
        return {
          sets: found.sets,
          figures: { ...used.figures, ...found.figures },
          references: { ...used.references, ...found.references },
        };
      },
    };
  },
  findings: (report, config) => [
    ...groupFindings(report, 'prototypes', 'prototypes', steadier(config)),
    ...cropFindings(report, steadier(config)),
  ],
};
