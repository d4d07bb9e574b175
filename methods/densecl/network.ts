import { biasedLayers, type HeadConfig, headSpecs } from '../../electron/engine/heads.ts';
import type { NetworkSpec } from '../../electron/engine/network.ts';
import { contrastiveEncoder } from '../../electron/engine/parameters.ts';
import { pointerBuffer, type QueueNames, queueBuffer } from '../../electron/engine/queue.ts';
import { torchStart } from '../../electron/engine/specs.ts';
import type { DenseCLRunConfig } from './config.ts';

/** The parts of a configuration that say what networks are made of. */
export type DenseCLNetworkConfig = Pick<DenseCLRunConfig, 'model' | 'neck' | 'encoder' | 'contrast'>;

/** The two heads on patch tokens: of their mean, and of each (in the paper a 1x1 convolution). Neither has a BatchNorm. */
export function headsOf(
  { hidden, out }: DenseCLRunConfig['neck'],
  from: number,
): Record<'global' | 'dense', HeadConfig> {
  const layers = biasedLayers([hidden, out], null);
  return { global: { name: 'mlp', from, layers }, dense: { name: 'mlp2', from, layers } };
}

/** The queues of both losses: of keys of whole crops, and of the mean over a crop's patches of their keys. */
export const QUEUES: Record<'global' | 'dense', QueueNames> = {
  global: { queue: 'queue', pointer: 'queue_ptr' },
  dense: { queue: 'queue2', pointer: 'queue2_ptr' },
};

/** Both heads, as the published code starts them: its start of its own is of linear layers, of which it has one head. */
export function neckSpecs({ neck }: Pick<DenseCLNetworkConfig, 'neck'>, from: number, decaysAll: boolean) {
  const heads = headsOf(neck, from);
  return [
    ...headSpecs(heads.global, { matrix: (_to, width) => ({ kind: 'normal', std: Math.sqrt(2 / width) }), decaysAll }),
    ...headSpecs(heads.dense, { matrix: (_to, width) => torchStart(width), bias: torchStart, decaysAll }),
  ];
}

export const queueBuffers = ({ neck, contrast }: Pick<DenseCLNetworkConfig, 'neck' | 'contrast'>) =>
  Object.values(QUEUES).flatMap(({ queue, pointer }) => [
    queueBuffer(queue, neck.out, contrast.queue),
    pointerBuffer(pointer),
  ]);

/** A ViT with both heads: what the teacher is. */
export function teacherNetwork(config: DenseCLNetworkConfig): NetworkSpec {
  const { model, encoder } = config;
  const { parameters, buffers } = contrastiveEncoder(model, encoder);
  return { model, parameters: [...parameters, ...neckSpecs(config, model.embed_dim, encoder.decay_all)], buffers };
}

/** The student: the same, and the queues, which are no network's but one's to keep. */
export function network(config: DenseCLNetworkConfig): NetworkSpec {
  const spec = teacherNetwork(config);
  return { ...spec, buffers: [...spec.buffers, ...queueBuffers(config)] };
}
