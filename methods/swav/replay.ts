import * as tf from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { Tokens } from '../../electron/engine/layers/tokens.ts';
import { fromPlain, prefixed, toPlain, unprefixed } from '../../electron/engine/names.ts';
import { channelsLast, type Replay, type StateFile } from '../../electron/engine/replay.ts';
import { record } from '../../electron/engine/tape.ts';
import type { Show } from '../../electron/engine/trainer.ts';
import { modelSchema } from '../../shared/config.ts';
import { namedCrops } from '../../shared/crops.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { headNetwork } from './network.ts';
import { type SwAVBatch, type SwAVConfig, step, swap } from './step.ts';

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
  local_size: z.number().nullish(),
});
const fixtureSchema = z.object({
  level: z.enum(['features', 'vit']),
  feature_dim: z.number(),
  head: z.object({ hidden: z.number(), out: z.number(), batch_norm_eps: z.number(), batch_norm_momentum: z.number() }),
  prototypes: z.number(),
  batch: z.number(),
  crops: z.array(z.number()).min(1).max(2),
  crops_for_assign: z.array(z.number()).min(1),
  temperature: z.number(),
  epsilon: z.number(),
  sinkhorn_iterations: z.number(),
  queue_length: z.number(),
  freeze_prototypes_steps: z.number(),
  optimizer: z.object({
    betas: z.tuple([z.number(), z.number()]),
    eps: z.number(),
    clip_grad_norm: z.number().positive().nullable().default(null),
  }),
  steps: z.array(z.object({ lr: z.number(), weight_decay: z.number() })).min(1),
});

type Fixture = z.output<typeof fixtureSchema>;
type Config = SwAVConfig & { counts: number[]; from: number };

function configOf(said: Fixture, model: SwAVConfig['model'] | null, local: number): Config {
  const { head, optimizer } = said;
  return {
    model: model as SwAVConfig['model'],
    head,
    crops: { small_size: local },
    assign: said.crops_for_assign,
    counts: said.crops,
    from: said.feature_dim,
    prototypes: {
      count: said.prototypes,
      temperature: said.temperature,
      epsilon: said.epsilon,
      iterations: said.sinkhorn_iterations,
      frozen_steps: said.freeze_prototypes_steps,
    },
    queue: { length: said.queue_length, start_epoch: 0 },
    train: { batch_size: said.batch } as SwAVConfig['train'],
    optimizer: { betas: optimizer.betas, eps: optimizer.eps, clip_grad: optimizer.clip_grad_norm },
  };
}

const ENCODER = 'encoder.';
const HEAD = /^(projection_head|prototypes)\./;
const names = {
  read: (state: StateDict) => fromPlain(unprefixed(state, ENCODER)),
  write: (state: StateDict) => prefixed(toPlain(state), ENCODER, (name) => !HEAD.test(name)),
};
const only = (state: StateDict, is: (name: string) => boolean): StateDict =>
  new Map([...state].filter(([name]) => is(name)));

/** The network without its queue, and the queue alone, where there is one. */
const filesOf = ({ queue_length }: Fixture): StateFile[] => [
  {
    name: 'student',
    of: 'student',
    read: names.read,
    write: (state) => names.write(only(state, (name) => name !== 'queue')),
  },
  ...(queue_length > 0
    ? [
        {
          name: 'queue',
          of: 'student' as const,
          read: (state: StateDict) => state,
          write: (state: StateDict) => only(state, (name) => name === 'queue'),
        },
      ]
    : []),
];

const common = (said: Fixture) => ({
  networks: filesOf(said),
  names,
  result: ({ loss, grad_norm, figures }: Parameters<Replay<Config, never>['result']>[0]) => ({
    loss,
    grad_norm_before_clip: grad_norm,
    ...Object.fromEntries(Object.entries(figures).filter((one): one is [string, number] => one[1] !== null)),
  }),
  results: (shown: StateDict, { student }: { student: StateDict }): StateDict => {
    const queue = student.get('queue');
    return new Map([...only(shown, (name) => name !== 'images'), ...(queue ? [['queue', queue] as const] : [])]);
  },
});
const ratesOf = ({ steps }: Fixture) => steps.map(({ lr, weight_decay }) => ({ lr, weight_decay, momentum: 0 }));

/** Fixtures whose crops are images. */
const ofImages = (said: Fixture): Replay<Config, SwAVBatch> => ({
  ...common(said),
  method: step,
  read(again) {
    const { local_size, ...model } = modelOf.parse(again);
    return { config: configOf(said, { ...model, init_std: 0.02 }, local_size ?? 0), rates: ratesOf(said) };
  },
  batch(part, { counts: [large = 0, small = 0] }) {
    const crops = (n: number, from: number) =>
      Array.from({ length: n }, (_, i) => channelsLast(part(`crop.${from + i}`)));
    return { views: namedCrops({ large: crops(large, 0), small: crops(small, large) }) };
  },
  input: 'crop.0',
});

/** Fixtures whose crops are features of some other network: the head, the prototypes and the queue alone. */
const ofFeatures = (said: Fixture): Replay<Config, Float32Array[]> => ({
  ...common(said),
  method: {
    student: (config) => ({ model: config.model, ...headNetwork(config, config.from, config.assign!.length) }),
    teacher: () => null,
    step: ({ student }, crops, config, show) =>
      swap(student, featuresOf(crops, config.from, show), crops.length, config, show),
  },
  read: () => ({ config: configOf(said, null, 0), rates: ratesOf(said) }),
  batch: (part, { counts }) =>
    Array.from({ length: counts.reduce((a, b) => a + b) }, (_, i) => Float32Array.from(part(`crop.${i}`).data)),
  input: null,
});

/** Rows that are given, crop by crop: what their gradient is, is shown. */
function featuresOf(crops: readonly Float32Array[], width: number, show: Show | null): Tokens {
  const batch = crops[0]!.length / width;
  const rows = tf.tidy(() => tf.concat(crops.map((crop) => tf.tensor2d(crop, [batch, width])))) as tf.Tensor2D;
  return record(new Tokens(rows, rows.shape[0]), (gradient) => {
    for (const [i, part] of tf.split(gradient, crops.length).entries()) {
      show?.(`gradient.crop.${i}`, part);
      part.dispose();
    }
    gradient.dispose();
  });
}

export const replay = (said: unknown) => {
  const fixture = fixtureSchema.parse(said);
  return fixture.level === 'vit' ? ofImages(fixture) : ofFeatures(fixture);
};
