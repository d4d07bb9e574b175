import type { NetworkSpec } from '../../electron/engine/network.ts';
import { encoderSpecs, plainEncoder, type StartRules } from '../../electron/engine/parameters.ts';
import { type BufferSpec, freeze, type ParameterSpec } from '../../electron/engine/specs.ts';
import type { ModelConfig } from '../../shared/config.ts';
import type { TokenizerConfig } from './config.ts';
import { shapeOf } from './shape.ts';
import { vqBuffers, vqSpecs, xavierStart } from './specs.ts';

/** Before the names of the network whose features pictures are compared by. */
export const FEATURES = 'features.';
/** Steps since something fell on each code; and steps in all, 0 before the codebook has begun. */
export const IDLE = 'quantize.idle';
export const STEPS = 'quantize.steps';

/** An encoder, a codebook, a decoder; and where pictures are compared by features, the frozen network that has them. */
export function network(config: Pick<TokenizerConfig, 'model' | 'codebook' | 'decoder' | 'perceptual'>): NetworkSpec {
  const shape = shapeOf(config);
  const rules: StartRules = xavierStart(config.model.init_std);
  const features = featuresOf(config);
  const frozen = features ? withFeatures(features) : { parameters: [], buffers: [] };
  return {
    model: config.model,
    parameters: [...vqSpecs(shape, rules), ...frozen.parameters],
    buffers: [
      ...vqBuffers(shape),
      { name: IDLE, shape: [shape.codes], value: 0 },
      { name: STEPS, shape: [], value: 0 },
      ...frozen.buffers,
    ],
  };
}

/** The encoder that gives features; null where nothing is compared by them. */
export function featuresOf({ perceptual }: Pick<TokenizerConfig, 'perceptual'>): ModelConfig | null {
  const { weight, run: _, layers: __, last_norm: ___, mean: ____, std: _____, ...model } = perceptual;
  return weight > 0 ? { ...model, layer_norm_eps: 1e-6, init_std: 0.02 } : null;
}

function withFeatures(model: ModelConfig): { parameters: ParameterSpec[]; buffers: BufferSpec[] } {
  const { buffers } = plainEncoder(model);
  const parameters = encoderSpecs(model).filter(({ name }) => name !== 'mask_token');
  const inPart = <S extends { name: string }>(specs: readonly S[]) =>
    specs.map((spec) => ({ ...spec, name: FEATURES + spec.name }));
  return { parameters: freeze(inPart(parameters), () => true), buffers: inPart(buffers) };
}
