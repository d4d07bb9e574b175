import * as tf from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { hostCopy } from '../../electron/engine/host.ts';
import { Tokens, unit } from '../../electron/engine/layers/tokens.ts';
import { fromPlain, toPlain } from '../../electron/engine/names.ts';
import { Network } from '../../electron/engine/network.ts';
import { pointerBuffer, queueBuffer } from '../../electron/engine/queue.ts';
import {
  channelsLast,
  type OwnReplay,
  partOf,
  type Replay,
  type ReplayOf,
  type StateFile,
} from '../../electron/engine/replay.ts';
import { differentiate, frozen } from '../../electron/engine/tape.ts';
import { Gradients } from '../../electron/engine/weights.ts';
import { modelSchema } from '../../shared/config.ts';
import type { HostTensor, StateDict } from '../../shared/tensors.ts';
import { queuesOf } from './network.ts';
import { contrast, directionsOf, type MoCoBatch, type MoCoConfig, step } from './step.ts';

const layers = z.object({ layers: z.number().int(), hidden: z.number().int(), out: z.number().int() });
const common = {
  image_size: modelSchema.shape.image_size,
  patch_size: modelSchema.shape.patch_size,
  embed_dim: modelSchema.shape.embed_dim,
  depth: modelSchema.shape.depth,
  num_heads: modelSchema.shape.num_heads,
  mlp_ratio: modelSchema.shape.mlp_ratio,
  layer_norm_eps: modelSchema.shape.layer_norm_eps,
  frozen_patch_embedding: z.boolean(),
  temperature: z.number().positive(),
  optimizer: z.object({
    betas: z.tuple([z.number(), z.number()]).default([0.9, 0.999]),
    eps: z.number().default(1e-8),
    clip_grad_norm: z.number().positive().nullable().default(null),
    no_decay: z.string().default('none'),
  }),
  steps: z.array(z.object({ lr: z.number(), weight_decay: z.number(), momentum: z.number() })).min(1),
};
const batchSchema = z.object({
  ...common,
  projector: layers,
  predictor: layers,
  batch_norm: z.object({ eps: z.number(), momentum: z.number() }),
});
const queueSchema = z.object({ ...common, head: layers, queue: z.number().int() });
const featuresSchema = z.object({
  out: z.number(),
  queue: z.number(),
  temperature: z.number(),
  steps: z.array(z.object()),
});
const kindSchema = z.object({ method: z.string(), level: z.string().default('model') });

const modelOf = modelSchema.pick({
  image_size: true,
  patch_size: true,
  embed_dim: true,
  depth: true,
  num_heads: true,
  mlp_ratio: true,
  layer_norm_eps: true,
});
type Said = z.infer<z.ZodObject<typeof common>>;
type Parts = Pick<MoCoConfig, 'head' | 'predictor' | 'contrast'>;

/** What both kinds of whole networks have, and the rates of their steps. */
function configOf(said: Said, parts: Parts): { config: MoCoConfig; rates: Said['steps'] } {
  const { betas, eps, clip_grad_norm: clip_grad, no_decay } = said.optimizer;
  const config: MoCoConfig = {
    model: modelSchema.parse({ ...modelOf.strip().parse(said), position: 'fixed-sincos', layer_scale_init: 0 }),
    encoder: { frozen_patch_embedding: said.frozen_patch_embedding, decay_all: no_decay.startsWith('none') },
    optimizer: { betas, eps, clip_grad },
    ...parts,
  };
  return { config, rates: said.steps };
}

const NORM = { batch_norm_eps: 1e-5, batch_norm_momentum: 0.1 };

const pick = (state: StateDict, nameOf: (name: string) => string | null): StateDict =>
  new Map(
    [...state].flatMap(([name, tensor]) => {
      const other = nameOf(name);
      return other === null ? [] : [[other, tensor] as const];
    }),
  );
const PREDICTOR = 'predictor.';
const isEncoders = (name: string) => !name.startsWith(PREDICTOR) && !name.startsWith('queue');

const onImages = {
  method: step,
  batch: (part: (name: string) => HostTensor): MoCoBatch => ({
    views: { first: channelsLast(part('view1')), second: channelsLast(part('view2')) },
  }),
  input: 'view1',
};

/** v3: two crops, both ways, the keys of the batch. */
const ofBatch: Replay<MoCoConfig, MoCoBatch> = {
  ...onImages,
  read(said) {
    const { projector: head, predictor, batch_norm, ...rest } = batchSchema.parse(said);
    const norm = { batch_norm_eps: batch_norm.eps, batch_norm_momentum: batch_norm.momentum };
    return configOf(rest, {
      head: { ...head, ...norm },
      predictor,
      contrast: { dictionary: 'batch', temperature: rest.temperature, queue: 1 },
    });
  },
  networks: [
    {
      name: 'base_encoder',
      of: 'student',
      read: fromPlain,
      write: (state) => toPlain(pick(state, (name) => (isEncoders(name) ? name : null))),
    },
    {
      name: 'predictor',
      of: 'student',
      read: (state) => pick(state, (name) => PREDICTOR + name),
      write: (state) => pick(state, (name) => (name.startsWith(PREDICTOR) ? name.slice(PREDICTOR.length) : null)),
    },
    { name: 'momentum_encoder', of: 'teacher', read: fromPlain, write: toPlain },
  ],
  names: {
    read: fromPlain,
    write: (state) => pick(toPlain(state), (name) => (isEncoders(name) ? `base_encoder.${name}` : name)),
  },
  shown: { q1: 'q1', q2: 'q2', k1: 'k1', k2: 'k2' },
  result({ loss, grad_norm, figures }, shown) {
    // Each term is of the loss: times 2 T, as their sum is.
    const [a, b] = ['loss_q1', 'loss_q2'].map((name) => shown.get(name)!.data[0]!) as [number, number];
    return {
      loss,
      loss_q1_k2: (loss * a) / (a + b),
      loss_q2_k1: (loss * b) / (a + b),
      grad_norm_before_clip: grad_norm,
      lookup_top1: figures.top1!,
    };
  },
};

/** A head of one layer is `fc`, one of several `fc.0`, `fc.2`. */
const FIRST = /^fc\.(weight|bias)$/;
function ofOneLayer(isOne: boolean): { read(state: StateDict): StateDict; write(state: StateDict): StateDict } {
  const read = (state: StateDict) => pick(fromPlain(state), (name) => name.replace(FIRST, 'fc.0.$1'));
  const write = (state: StateDict) =>
    pick(toPlain(state), (name) => (!isEncoders(name) ? null : isOne ? name.replace(/^fc\.0\./, 'fc.') : name));
  return { read, write };
}

/** v1 and v2 on a ViT: the second crop's keys, and a queue. */
function ofQueue(said: unknown): Replay<MoCoConfig, MoCoBatch> {
  const names = ofOneLayer(queueSchema.parse(said).head.layers === 1);
  const asTheyAre = (state: StateDict) => pick(state, (name) => (name.startsWith('queue') ? name : null));
  const file = (name: string, of: StateFile['of']): StateFile => ({ name, of, ...names });
  return {
    ...onImages,
    read(again) {
      const { head, queue, ...rest } = queueSchema.parse(again);
      return configOf(rest, {
        head: { ...head, ...NORM },
        predictor: { layers: 1, hidden: 1 },
        contrast: { dictionary: 'queue', temperature: rest.temperature, queue },
      });
    },
    networks: [
      file('encoder_q', 'student'),
      file('encoder_k', 'teacher'),
      { name: 'queue', of: 'student', read: asTheyAre, write: asTheyAre },
    ],
    names: { ...names, write: (state) => pick(names.write(state), (name) => `encoder_q.${name}`) },
    results: (shown, { student }) => new Map([['logits', shown.get('logits_q1')!], ...asTheyAre(student)]),
    result: ({ loss, grad_norm, figures }, shown) => ({
      loss,
      grad_norm_before_clip: grad_norm,
      top1: figures.top1!,
      pointer_after: shown.get('queue_ptr')!.data[0]!,
    }),
  };
}

/** A queue, or a pair of them, on features: `q` and `k`, or `q1`, `k1`, `q2`, `k2`, raw. */
const onFeatures =
  (dictionary: 'queue' | 'queues'): OwnReplay =>
  (folder, said) => {
    const { out, queue: length, temperature, steps } = featuresSchema.parse(said);
    const directions = directionsOf({ dictionary });
    const named = (of: string, view: number) => (dictionary === 'queue' ? of : `${of}${view + 1}`);
    const queues = Object.values(queuesOf({ dictionary })).map(({ queue }) => queueBuffer(queue, out, length));
    const spec = { model: modelSchema.parse({}), parameters: [], buffers: [...queues, pointerBuffer('queue_ptr')] };
    const init = folder.load('queue.init');
    const network = new Network(spec, init);
    const state = (): StateDict => new Map(network.tensors());
    const done = steps.map((_, i) => {
      const part = partOf(folder.load(`batch.step${i}`), `batch.step${i}`);
      const rows = (name: string) => {
        const { shape, data } = part(name);
        return new Tokens(tf.tensor2d(data, shape as [number, number]), shape[0]!);
      };
      const queries = directions.map(([asking]) => rows(named('q', asking)));
      const keys = directions.map(([, asked]) => rows(named('k', asked)));
      const shown: StateDict = new Map();
      const { loss, figures } = differentiate(new Gradients(), 1, () =>
        contrast(
          network,
          queries.map((one) => unit(one)),
          keys.map((one) => frozen(() => unit(one))),
          { contrast: { dictionary, temperature } },
          (name, tensor) => shown.set(name, { shape: tensor.shape, data: hostCopy(tensor) }),
        ),
      );
      const gradients = directions.map(([asking], d) => {
        const gradient = queries[d]!.takeGradient();
        const host = { shape: gradient.shape, data: hostCopy(gradient) };
        gradient.dispose();
        return [`d${named('q', asking)}`, host] as const;
      });
      tf.dispose([...queries, ...keys].map(({ tensor }) => tensor));
      const logits = dictionary === 'queue' ? [['logits', shown.get('logits_q1')!] as const] : [];
      folder.write(`results.step${i}`, new Map([...logits, ...gradients, ...state()]));
      const square = gradients.reduce((sum, [, { data }]) => sum + data.reduce((a, v) => a + v * v, 0), 0);
      const terms = directions.map(([q, k]) => [`loss_q${q + 1}_k${k + 1}`, shown.get(`loss_q${q + 1}`)!.data[0]!]);
      return {
        loss,
        ...(dictionary === 'queues' && Object.fromEntries(terms)),
        grad_norm: Math.sqrt(square),
        ...figures,
        pointer_after: shown.get('queue_ptr')!.data[0]!,
      };
    });
    folder.write('queue.final', new Map([...init, ...state()]));
    network.dispose();
    return done;
  };

/** Fixtures are of v3, of a queue on features or on a ViT, or of MoBY's pair on features. */
export const replay: ReplayOf<MoCoConfig, MoCoBatch> = (said) => {
  const { method, level } = kindSchema.parse(said);
  if (method.endsWith('queue-pair')) return onFeatures('queues');
  if (!method.endsWith('queue')) return ofBatch;
  return level === 'features' ? onFeatures('queue') : ofQueue(said);
};
