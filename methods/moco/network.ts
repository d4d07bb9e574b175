import {
  biasedLayers,
  type HeadConfig,
  type HeadRules,
  headBuffers,
  headSpecs,
  projectorHead,
} from '../../electron/engine/heads.ts';
import type { NetworkSpec } from '../../electron/engine/network.ts';
import { contrastiveEncoder } from '../../electron/engine/parameters.ts';
import { pointerBuffer, type QueueNames, queueBuffer } from '../../electron/engine/queue.ts';
import { torchStart } from '../../electron/engine/specs.ts';
import type { MoCoRunConfig } from './config.ts';

/** The parts of a configuration that say what networks are made of. */
export type MoCoNetworkConfig = Pick<MoCoRunConfig, 'model' | 'head' | 'predictor' | 'contrast' | 'encoder'>;

const rulesOf = ({ encoder }: MoCoNetworkConfig): HeadRules => ({
  matrix: (_to, from) => torchStart(from),
  bias: torchStart,
  decaysAll: encoder.decay_all,
});

const hiddenThen = ({ layers, hidden }: { layers: number; hidden: number }, out: number) => [
  ...new Array<number>(layers - 1).fill(hidden),
  out,
];

/**
 * The head on CLS, of student and teacher: in v3 without biases, each Linear with a BatchNorm, the last of which has neither
 * scale nor shift (arXiv 2104.02057, section 5); with one queue without BatchNorm (arXiv 1911.05722, 2003.04297); with two
 * as MoBY has it (arXiv 2105.04553).
 */
export function headOf({ model, head, contrast: { dictionary } }: MoCoNetworkConfig): HeadConfig {
  if (dictionary === 'batch') return projectorHead(model.embed_dim, head, 'head');
  const layers = biasedLayers(hiddenThen(head, head.out), dictionary === 'queues' ? head : null);
  return { name: dictionary === 'queue' ? 'fc' : 'head', from: model.embed_dim, layers };
}

/** What makes a query of what the student's head gives; null where it is the query (v1 and v2). */
export function predictorOf({ head, predictor, contrast: { dictionary } }: MoCoNetworkConfig): HeadConfig | null {
  if (dictionary === 'queue') return null;
  const sizes = { ...head, ...predictor };
  if (dictionary === 'batch') return projectorHead(head.out, sizes, 'predictor');
  return { name: 'predictor', from: head.out, layers: biasedLayers(hiddenThen(sizes, head.out), head) };
}

/** The queues, by the view whose keys they hold: 0 the first. One queue holds those of the second. */
export function queuesOf({
  dictionary,
}: Pick<MoCoRunConfig['contrast'], 'dictionary'>): Readonly<Record<number, QueueNames>> {
  const pointer = 'queue_ptr';
  if (dictionary === 'batch') return {};
  if (dictionary === 'queue') return { 1: { queue: 'queue', pointer } };
  return { 0: { queue: 'queue1', pointer }, 1: { queue: 'queue2', pointer } };
}

/** The encoder with its head: what the teacher is. */
export function teacherNetwork(config: MoCoNetworkConfig): NetworkSpec {
  const { parameters, buffers } = contrastiveEncoder(config.model, config.encoder);
  const head = headOf(config);
  return {
    model: config.model,
    parameters: [...parameters, ...headSpecs(head, rulesOf(config))],
    buffers: [...buffers, ...headBuffers(head)],
  };
}

/** The student: the same, with a predictor of its own, and the queues, which are no network's but one's to keep. */
export function network(config: MoCoNetworkConfig): NetworkSpec {
  const { model, parameters, buffers } = teacherNetwork(config);
  const predictor = predictorOf(config);
  const queues = Object.values(queuesOf(config.contrast)).map(({ queue }) => queue);
  return {
    model,
    parameters: [...parameters, ...(predictor ? headSpecs(predictor, rulesOf(config)) : [])],
    buffers: [
      ...buffers,
      ...(predictor ? headBuffers(predictor) : []),
      ...queues.map((name) => queueBuffer(name, config.head.out, config.contrast.queue)),
      ...(queues.length > 0 ? [pointerBuffer('queue_ptr')] : []),
    ],
  };
}
