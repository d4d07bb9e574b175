import { headBuffers, headSpecs, projectorHead } from '../../electron/engine/heads.ts';
import type { NetworkSpec } from '../../electron/engine/network.ts';
import { contrastiveEncoder } from '../../electron/engine/parameters.ts';
import { torchStart } from '../../electron/engine/specs.ts';
import type { SimCLRRunConfig } from './config.ts';

/** The parts of a configuration that say what the network is made of. */
export type SimCLRNetworkConfig = Pick<SimCLRRunConfig, 'model' | 'head' | 'encoder'>;

/** The head on CLS, as MoCo v3 has it (arXiv 2104.02057): the last BatchNorm has neither scale nor shift. */
export const headOf = ({ model, head }: Pick<SimCLRNetworkConfig, 'model' | 'head'>) =>
  projectorHead(model.embed_dim, head, 'head');

/** One network: a ViT as MoCo v3 trains it, and a head. */
export function network(config: SimCLRNetworkConfig): NetworkSpec {
  const { parameters, buffers } = contrastiveEncoder(config.model, config.encoder);
  const head = headOf(config);
  const matrix = (_to: number, from: number) => torchStart(from);
  return {
    model: config.model,
    parameters: [...parameters, ...headSpecs(head, { matrix, decaysAll: config.encoder.decay_all })],
    buffers: [...buffers, ...headBuffers(head)],
  };
}
