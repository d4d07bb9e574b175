import * as tf from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { Tokens } from '../../electron/engine/layers/tokens.ts';
import { fromPlain, toPlain } from '../../electron/engine/names.ts';
import type { NetworkSpec } from '../../electron/engine/network.ts';
import {
  channelsFirst,
  channelsLast,
  type Replay,
  type ReplayOf,
  type StateFile,
} from '../../electron/engine/replay.ts';
import { record } from '../../electron/engine/tape.ts';
import type { Method, Show } from '../../electron/engine/trainer.ts';
import { modelSchema } from '../../shared/config.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { neckSpecs, QUEUES, queueBuffers } from './network.ts';
import { contrast, type DenseCLBatch, type DenseCLConfig, step } from './step.ts';

const { image_size, patch_size, embed_dim, depth, num_heads, mlp_ratio, layer_norm_eps } = modelSchema.shape;
const modelOf = z.object({
  image_size,
  patch_size,
  embed_dim,
  depth,
  num_heads,
  mlp_ratio,
  layer_norm_eps,
  position: modelSchema.shape.position,
  layer_scale_init: modelSchema.shape.layer_scale_init,
});
const fixtureSchema = z.object({
  level: z.enum(['features', 'vit']),
  feature_dim: z.number().int(),
  grid: z.number().int(),
  head: z.object({ hidden: z.number().int(), out: z.number().int() }),
  queue_length: z.number().int(),
  temperature: z.number().positive(),
  optimizer: z.object({
    betas: z.tuple([z.number(), z.number()]),
    eps: z.number(),
    clip_grad_norm: z.number().positive().nullable().default(null),
  }),
  steps: z
    .array(z.object({ lr: z.number(), weight_decay: z.number(), momentum: z.number(), loss_lambda: z.number() }))
    .min(1),
});
type Fixture = z.output<typeof fixtureSchema>;

function configOf({ head, temperature, queue_length, optimizer }: Fixture, model: DenseCLConfig['model']) {
  const config: DenseCLConfig = {
    model,
    neck: head,
    contrast: { temperature, queue: queue_length },
    // The weight stands in each step of a fixture.
    dense: { lambda: 0, start_steps: 0 },
    encoder: { frozen_patch_embedding: false, decay_all: false },
    optimizer: { betas: optimizer.betas, eps: optimizer.eps, clip_grad: optimizer.clip_grad_norm },
  };
  return config;
}

/** The published code's optimizer of fixtures spares what has one dimension, and tokens have three. */
const decaysMatrices = (spec: NetworkSpec): NetworkSpec => ({
  ...spec,
  parameters: spec.parameters.map((one) => ({ ...one, decay: one.shape.length > 1 })),
});

const HEAD = /^mlp2?\./;
const CONVOLUTION = /^mlp2\.\d+\.weight$/;
const ENCODER = /^encoder_[qk]\.[01]\./;
const QUEUED = new Set(Object.values(QUEUES).flatMap(({ queue, pointer }) => [queue, pointer]));

/** The encoder is `encoder_q.0`, both heads are `encoder_q.1`; a matrix on each patch is a convolution there. */
function namesOf(prefix: 'encoder_q' | 'encoder_k') {
  const read = (state: StateDict): StateDict =>
    new Map(
      [...fromPlain(state)].map(([name, { shape, data }]) => {
        const own = name.replace(ENCODER, '');
        return [own, { shape: CONVOLUTION.test(own) ? shape.slice(0, 2) : shape, data }];
      }),
    );
  const write = (state: StateDict): StateDict =>
    new Map(
      [...toPlain(state)]
        .filter(([name]) => !QUEUED.has(name))
        .map(([name, { shape, data }]) => [
          `${prefix}.${HEAD.test(name) ? 1 : 0}.${name}`,
          { shape: CONVOLUTION.test(name) ? [...shape, 1, 1] : shape, data },
        ]),
    );
  return { read, write };
}

const queues = (state: StateDict): StateDict => new Map([...state].filter(([name]) => QUEUED.has(name)));
const FILES: readonly StateFile[] = [
  { name: 'student', of: 'student', ...namesOf('encoder_q') },
  { name: 'teacher', of: 'teacher', ...namesOf('encoder_k') },
  { name: 'queue', of: 'student', read: queues, write: queues },
];

/** What both levels have: the keys under which a step is said, and `results` but for what a level has of its own. */
function common({ steps }: Fixture, own: (shown: StateDict) => StateDict) {
  let at = 0;
  return {
    networks: FILES,
    names: namesOf('encoder_q'),
    result({ loss, grad_norm, figures }: Parameters<Replay<DenseCLConfig, never>['result']>[0]) {
      const { loss_lambda } = steps[at++]!;
      const { loss_global, loss_dense, lookup_global, lookup_dense, distinct } = figures as Record<string, number>;
      return {
        loss,
        // The published log has them with their weights.
        loss_global: (1 - loss_lambda) * loss_global!,
        loss_dense: loss_lambda * loss_dense!,
        unweighted_global: loss_global!,
        unweighted_dense: loss_dense!,
        grad_norm_before_clip: grad_norm,
        lookup_global: lookup_global!,
        lookup_dense: lookup_dense!,
        distinct_matches: distinct!,
      };
    },
    results: (shown: StateDict, { student }: { student: StateDict }): StateDict =>
      new Map([
        ...['queue', 'queue2'].map((name) => [name, student.get(name)!] as const),
        ['match', shown.get('match')!],
        ...own(shown),
      ]),
  };
}
const ratesOf = ({ steps }: Fixture) => steps.map(({ lr, weight_decay, momentum }) => ({ lr, weight_decay, momentum }));

/** A fixture's weight of the loss of patches, beside what a step is given. */
type Weighted<Batch> = Batch & { lambda: number };

/** Two crops of images, by a ViT. */
const ofImages = (said: Fixture): Replay<DenseCLConfig, Weighted<DenseCLBatch>> => ({
  ...common(said, () => new Map()),
  method: {
    ...step,
    student: (config) => decaysMatrices(step.student(config)),
    step: (networks, { lambda, ...batch }, config, show) =>
      step.step(networks, batch, { ...config, dense: { lambda, start_steps: 0 } }, show),
  },
  read: (again) => ({
    config: configOf(said, { ...modelOf.parse(again), init_std: 0.02 }),
    rates: ratesOf(said),
  }),
  batch: (part, _, i) => ({
    views: { first: channelsLast(part('query')), second: channelsLast(part('key')) },
    lambda: said.steps[i]!.loss_lambda,
  }),
  input: 'query',
});

/** Maps of some other network: both heads, and the queues. */
interface Maps {
  queries: Float32Array;
  keys: Float32Array;
}

const ofMaps = (said: Fixture): Replay<DenseCLConfig, Weighted<Maps>> => {
  const { feature_dim: width, grid } = said;
  const heads = (config: DenseCLConfig): NetworkSpec =>
    decaysMatrices({ model: config.model, parameters: neckSpecs(config, width, false), buffers: [] });
  const method: Method<DenseCLConfig, Weighted<Maps>> = {
    student: (config) => ({ ...heads(config), buffers: queueBuffers(config) }),
    teacher: heads,
    followsBefore: true,
    step(networks, { queries, keys, lambda }, config, show) {
      const tokens = (map: Float32Array, shown: Show | null) => {
        const rows = tf.tensor2d(map, [map.length / width, width]);
        return record(new Tokens(rows, rows.shape[0] / grid ** 2), (gradient) => {
          shown?.('gradient.query', gradient);
          gradient.dispose();
        });
      };
      return contrast(networks, tokens(queries, show), tokens(keys, null), { ...config, lambda }, show);
    },
  };
  return {
    ...common(said, (shown) => {
      const map = (name: string) => {
        const rows = shown.get(name)!;
        return channelsFirst(rows, [rows.shape[0]! / grid ** 2, grid, grid, rows.shape[1]!]);
      };
      const { shape, data } = map('q.dense');
      return new Map([
        ['q.global', shown.get('q.global')!],
        ['q.dense', { shape: [shape[0]!, shape[1]!, grid ** 2], data }],
        ['gradient.query', map('gradient.query')],
      ]);
    }),
    method,
    read: () => ({ config: configOf(said, null as unknown as DenseCLConfig['model']), rates: ratesOf(said) }),
    batch: (part, _, i) => ({
      queries: channelsLast(part('query')),
      keys: channelsLast(part('key')),
      lambda: said.steps[i]!.loss_lambda,
    }),
    input: null,
  };
};

export const replay: ReplayOf<DenseCLConfig, Weighted<DenseCLBatch> | Weighted<Maps>> = (said) => {
  const fixture = fixtureSchema.parse(said);
  return (fixture.level === 'vit' ? ofImages(fixture) : ofMaps(fixture)) as Replay<DenseCLConfig, never>;
};
