import type { RunConfig } from '../../../shared/config.ts';
import type { StateDict } from '../../../shared/tensors.ts';
import { plainEncoder, requireTensor } from '../../engine/parameters.ts';

/**
 * What an exported encoder has: a network without its method's heads, and without the token that stands for masked
 * patches, which outside of pretraining there are none of. Fixed positions are among it.
 */
export function exportedSpecs({ model }: Pick<RunConfig, 'model'>): { name: string; shape: number[] }[] {
  const { parameters, buffers } = plainEncoder(model);
  return [...parameters, ...buffers].map(({ name, shape }) => ({ name, shape }));
}

/** The encoder's tensors of a network. @throws AppError bad-file where one is missing or of another shape */
export function encoderTensors(config: Pick<RunConfig, 'model'>, state: StateDict): StateDict {
  return new Map(exportedSpecs(config).map(({ name, shape }) => [name, requireTensor(state, name, shape)]));
}
