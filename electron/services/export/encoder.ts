import type { RunConfig } from '../../../shared/config.ts';
import type { StateDict } from '../../../shared/tensors.ts';
import { parameterSpecs, requireTensor } from '../../engine/parameters.ts';
import type { ParameterSpec } from '../../engine/specs.ts';

/**
 * What an exported encoder has: a network without the projector, and without the token that stands for masked patches,
 * which outside of pretraining there are none of.
 */
export function encoderSpecs({ model, projector }: Pick<RunConfig, 'model' | 'projector'>): ParameterSpec[] {
  return parameterSpecs(model, projector).filter(
    ({ name }) => name !== 'mask_token' && !name.startsWith('projectors.'),
  );
}

/** The encoder's tensors of a network. @throws AppError bad-file where one is missing or of another shape */
export function encoderTensors(config: Pick<RunConfig, 'model' | 'projector'>, state: StateDict): StateDict {
  return new Map(encoderSpecs(config).map(({ name, shape }) => [name, requireTensor(state, name, shape)]));
}
