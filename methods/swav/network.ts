import { biasedLayers, type HeadConfig, headBuffers, headSpecs } from '../../electron/engine/heads.ts';
import type { NetworkSpec } from '../../electron/engine/network.ts';
import { encoderSpecs, normalStart } from '../../electron/engine/parameters.ts';
import { torchStart } from '../../electron/engine/specs.ts';
import { LARGE } from '../../shared/crops.ts';
import { queueLength, type SwAVRunConfig } from './config.ts';

/** Linear, BatchNorm, ReLU, Linear (`projection_head`). @param from width of a feature */
export const headOf = ({ head }: Pick<SwAVRunConfig, 'head'>, from: number): HeadConfig => ({
  name: 'projection_head',
  from,
  layers: biasedLayers([head.hidden, head.out], head),
});

type Parts = Pick<SwAVRunConfig, 'head' | 'prototypes' | 'queue' | 'train'>;

/** What stands on an encoder: head, prototypes, and a queue for each crop that is given a code. */
export function headNetwork(config: Parts, from: number, assigned = LARGE): Omit<NetworkSpec, 'model'> {
  const { head, prototypes } = config;
  const layers = headOf(config, from);
  const rows = queueLength(config);
  return {
    parameters: [
      ...headSpecs(layers, { matrix: (_to, width) => torchStart(width), bias: torchStart }),
      {
        name: 'prototypes.weight',
        shape: [prototypes.count, head.out],
        decay: true,
        init: torchStart(head.out),
        frozenFor: prototypes.frozen_steps,
      },
    ],
    buffers: [
      ...headBuffers(layers),
      ...(rows > 0 ? [{ name: 'queue', shape: [assigned, rows, head.out], value: 0 }] : []),
    ],
  };
}

/** A ViT whose CLS token goes through the head; no token stands for a patch that is hidden, for none is. */
export function network(config: Parts & Pick<SwAVRunConfig, 'model'> & { assign?: readonly number[] }): NetworkSpec {
  const { model } = config;
  const { parameters, buffers } = headNetwork(config, model.embed_dim, config.assign?.length);
  return {
    model,
    parameters: [...encoderSpecs(model, normalStart), ...parameters],
    buffers,
  };
}
