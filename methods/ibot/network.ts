import type { HeadConfig, HeadLayer } from '../../electron/engine/heads.ts';
import { headSpecs } from '../../electron/engine/heads.ts';
import type { NetworkSpec } from '../../electron/engine/network.ts';
import { encoderSpecs, normalStart } from '../../electron/engine/parameters.ts';
import { type Init, type ParameterSpec, torchStart } from '../../electron/engine/specs.ts';
import type { IBOTRunConfig } from './config.ts';

type Parts = Pick<IBOTRunConfig, 'model' | 'head'>;

/** Linear, GELU, ..., Linear: what is brought to unit length before the last layer (`iBOTHead`). */
export function headOf({ model, head }: Parts): HeadConfig {
  const hidden = Array.from({ length: head.layers - 1 }, (): HeadLayer[] => [
    { kind: 'linear', to: head.hidden, bias: true },
    { kind: 'gelu' },
  ]);
  return {
    name: 'head.mlp',
    from: model.embed_dim,
    layers: [...hidden.flat(), { kind: 'linear', to: head.bottleneck, bias: true }],
  };
}

/** The last layers: of CLS and of patches, which may be one. */
export const lastLayers = ({ head }: Pick<IBOTRunConfig, 'head'>): { cls: string; patch: string } => ({
  cls: 'head.last_layer',
  patch: head.shared ? 'head.last_layer' : 'head.last_layer2',
});

const constant = (value: number): Init => ({ kind: 'constant', value });

function parametersOf(config: Parts): ParameterSpec[] {
  const { model, head } = config;
  const { matrix } = normalStart;
  const encoder = encoderSpecs(model, { ...normalStart, hasMaskToken: true });
  const last = [...new Set(Object.values(lastLayers(config)))].flatMap((name): ParameterSpec[] => [
    {
      name: `${name}.weight_g`,
      shape: [head.out, 1],
      decay: true,
      init: constant(1),
      frozenFor: head.unit_rows ? Number.POSITIVE_INFINITY : head.frozen_steps,
    },
    {
      name: `${name}.weight_v`,
      shape: [head.out, head.bottleneck],
      decay: true,
      init: torchStart(head.bottleneck),
      frozenFor: head.frozen_steps,
    },
  ]);
  return [
    ...encoder.map((spec) => (spec.name === 'mask_token' ? { ...spec, init: constant(0) } : spec)),
    ...headSpecs(headOf(config), { matrix: (to, from) => matrix(to, from, null) }),
    ...last,
  ];
}

/** A ViT with a token for masked patches, and DINO's head on CLS and patches; with the centres of the teacher's logits. */
export const network = (config: Parts): NetworkSpec => ({
  model: config.model,
  parameters: parametersOf(config),
  buffers: [
    { name: 'center', shape: [1, config.head.out], value: 0 },
    { name: 'center2', shape: [1, 1, config.head.out], value: 0 },
  ],
});

/** The same without that token: it sees whole crops. */
export const teacherNetwork = (config: Parts): NetworkSpec => ({
  model: config.model,
  parameters: parametersOf(config).filter(({ name }) => name !== 'mask_token'),
  buffers: [],
});
