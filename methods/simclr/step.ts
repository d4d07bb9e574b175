import { encode } from '../../electron/engine/encoder.ts';
import { all, type Images } from '../../electron/engine/layers/embed.ts';
import { project } from '../../electron/engine/layers/head.ts';
import { clsRows, unit } from '../../electron/engine/layers/tokens.ts';
import { ntXent } from '../../electron/engine/losses/nt-xent.ts';
import { frozen } from '../../electron/engine/tape.ts';
import type { Method, TrainerConfig } from '../../electron/engine/trainer.ts';
import type { SimCLRRunConfig } from './config.ts';
import { headOf, network, type SimCLRNetworkConfig } from './network.ts';

/** The parts of a configuration that the arithmetic needs. */
export type SimCLRConfig = SimCLRNetworkConfig & Pick<SimCLRRunConfig, 'contrast'> & TrainerConfig;

export interface SimCLRBatch {
  /** `[batch, side, side, 3]`, normalised: two crops of each image. */
  views: { first: Images; second: Images };
}

/**
 * A simple framework for contrastive learning (arXiv 2002.05709, algorithm 1): one network, no stop-gradient. Both views of all
 * images pass together, so that a BatchNorm sees the rows of both.
 */
export const step: Method<SimCLRConfig, SimCLRBatch> = {
  student: network,
  teacher: () => null,

  step({ student }, { views }, config, show) {
    const cls = clsRows(encode(student, all(both(views)))); // [2 batch, dim]
    const projected = project(student, headOf(config), cls);
    const { loss, accuracy, entropy } = ntXent(unit(projected), config.contrast.temperature);
    if (show) show('cls', frozen(() => unit(cls)).tensor);
    show?.('projected', projected.tensor);
    return { loss, figures: { accuracy, entropy } };
  },
};

/** The first view of every image, then the second in the same order. */
function both({ first, second }: SimCLRBatch['views']): Images {
  const images = new Float32Array(first.length + second.length);
  images.set(first);
  images.set(second, first.length);
  return images;
}
