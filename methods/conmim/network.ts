import type { NetworkSpec } from '../../electron/engine/network.ts';
import { bufferSpecs, parameterSpecs } from '../../electron/engine/parameters.ts';
import type { LookupConfig } from './config.ts';

/** Student and teacher alike: a ViT with a token for masked patches, and a projector. */
export const network = ({ model, projector }: Pick<LookupConfig, 'model' | 'projector'>): NetworkSpec => ({
  model,
  parameters: parameterSpecs(model, projector),
  buffers: bufferSpecs(projector),
});
