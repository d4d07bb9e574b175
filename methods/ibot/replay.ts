import * as tf from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { type DropPath, encode } from '../../electron/engine/encoder.ts';
import { all, joinImages, replace } from '../../electron/engine/layers/embed.ts';
import { clsRows, patchRows, type Tokens } from '../../electron/engine/layers/tokens.ts';
import { weightNormed } from '../../electron/engine/layers/weight-norm.ts';
import type { Network } from '../../electron/engine/network.ts';
import { channelsLast, type Replay, type StateFile } from '../../electron/engine/replay.ts';
import { frozen } from '../../electron/engine/tape.ts';
import type { Show } from '../../electron/engine/trainer.ts';
import { modelSchema } from '../../shared/config.ts';
import { cropsIn, namedCrops } from '../../shared/crops.ts';
import type { HostTensor, StateDict } from '../../shared/tensors.ts';
import { centresOf, fromPublished, toPublished, withBothLastLayers, withoutCentres } from './names.ts';
import { lastLayers } from './network.ts';
import { bottleneck, type IBOTBatch, type IBOTConfig, step } from './step.ts';

const { image_size, patch_size, embed_dim, depth, num_heads, mlp_ratio, layer_norm_eps } = modelSchema.shape;
const pair = z.tuple([z.number(), z.number()]);
const fixtureSchema = z.object({
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
  head: z.object({
    layers: z.number(),
    hidden: z.number(),
    bottleneck: z.number(),
    out: z.number(),
    shared: z.boolean(),
    norm_last_layer: z.boolean(),
  }),
  global_crops: z.number(),
  local_crops: z.number(),
  student_temp: z.number(),
  center_momentum: z.number(),
  center_momentum_patch: z.number(),
  lambda1: z.number(),
  lambda2: z.number(),
  teacher_temp: pair,
  teacher_patch_temp: pair,
  teacher_temp_warmup_epochs: z.number(),
  freeze_last_layer: z.number(),
  mask: z.object({ start_epoch: z.number() }),
  optimizer: z.object({ betas: pair, eps: z.number(), clip_grad_per_tensor: z.number().nullable() }),
  steps: z
    .array(z.object({ epoch: z.number(), lr: z.number(), weight_decay: z.number(), momentum: z.number() }))
    .min(1),
});

type Config = IBOTConfig & { counts: [large: number, small: number]; epochs: number[] };

function configOf(said: z.output<typeof fixtureSchema>): Config {
  const { head, optimizer, steps } = said;
  const [teacher_start, teacher] = said.teacher_temp;
  const [patch_start, patch] = said.teacher_patch_temp;
  return {
    model: {
      image_size: said.image_size,
      patch_size: said.patch_size,
      embed_dim: said.embed_dim,
      depth: said.depth,
      num_heads: said.num_heads,
      mlp_ratio: said.mlp_ratio,
      layer_norm_eps: said.layer_norm_eps,
      position: said.position,
      layer_scale_init: said.layer_scale_init,
      init_std: 0.02,
    },
    crops: { small_size: said.local_size ?? 0 },
    head: {
      layers: head.layers,
      hidden: head.hidden,
      bottleneck: head.bottleneck,
      out: head.out,
      shared: head.shared,
      unit_rows: head.norm_last_layer,
      // An epoch of a fixture is a step.
      frozen_steps: said.freeze_last_layer,
    },
    temperatures: {
      student: said.student_temp,
      teacher_start,
      teacher,
      patch_start,
      patch,
      warmup_epochs: said.teacher_temp_warmup_epochs,
    },
    maskedFrom: said.mask.start_epoch,
    centres: { momentum: said.center_momentum, patch_momentum: said.center_momentum_patch },
    loss: { cls: said.lambda1, patch: said.lambda2, drop_path: 0 },
    optimizer: {
      betas: optimizer.betas,
      eps: optimizer.eps,
      clip_grad: optimizer.clip_grad_per_tensor,
      clip_each: true,
    },
    counts: [said.global_crops, said.local_crops],
    epochs: steps.map(({ epoch }) => epoch),
  };
}

const fileOf = (name: 'student' | 'teacher'): StateFile => ({
  name,
  of: name,
  read: fromPublished,
  write: (state) => withBothLastLayers(toPublished(withoutCentres(state))),
});

/** Factors of `[depth, 2, images]`. */
function dropPathOf({ shape, data }: HostTensor): DropPath {
  const [depth, branches, images] = shape as [number, number, number];
  const all = Float32Array.from(data);
  return Array.from({ length: depth * branches }, (_, i) => all.subarray(i * images, (i + 1) * images));
}

export const replay = (said: unknown): Replay<Config, IBOTBatch> => {
  const fixture = fixtureSchema.parse(said);
  const config = configOf(fixture);
  const hasDropPath = (said as { drop_path?: number }).drop_path;
  return {
    method: {
      ...step,
      step(networks, batch, own, show) {
        if (show) outputs(networks, batch, own, show);
        return step.step(networks, batch, own, null);
      },
    },
    read: () => ({
      config,
      rates: fixture.steps.map(({ lr, weight_decay, momentum }) => ({ lr, weight_decay, momentum })),
    }),
    networks: [
      fileOf('student'),
      fileOf('teacher'),
      { name: 'centers', of: 'student', read: (state: StateDict) => state, write: centresOf },
    ],
    batch(part, { counts: [large, small], epochs }, i) {
      const of = (name: string, n: number) => Array.from({ length: n }, (_, v) => part(`${name}.${v}`));
      const masks = of('mask', large).map(({ data }) => Float32Array.from(data));
      return {
        views: namedCrops({
          large: of('global', large).map(channelsLast),
          small: of('local', small).map(channelsLast),
        }),
        mask: joinImages(masks),
        epoch: epochs[i]!,
        ...(hasDropPath && {
          dropPath: {
            large: dropPathOf(part('drop_path.global')),
            small: small > 0 ? dropPathOf(part('drop_path.local')) : [],
          },
        }),
      };
    },
    input: 'global.0',
    teacherTokens: true,
    features: 'outputs',
    result: ({ loss, grad_norm, figures }) => ({
      loss,
      loss_cls: figures.loss_cls!,
      loss_patch: figures.loss_patch!,
      teacher_entropy_cls: figures.teacher_entropy_cls!,
      accuracy: figures.accuracy!,
      grad_norm_before_clip: grad_norm,
    }),
    names: { read: fromPublished, write: toPublished },
  };
};

/** Logits of every patch, masked or not: a training computes those of masked ones alone. */
function outputs(
  { student, teacher }: { student: Network; teacher: Network },
  { views, mask, dropPath }: IBOTBatch,
  config: Config,
  show: Show,
): void {
  const { large, small } = cropsIn(views);
  const last = lastLayers(config);
  const whole = joinImages(large);
  const logits = (of: Network, layer: string, rows: () => Tokens) =>
    frozen(() => weightNormed(of, layer, bottleneck(of, rows(), config))).tensor;
  const byImage = (x: tf.Tensor2D) => tf.tidy(() => tf.reshape(x, [mask.length / K, K, x.shape[1]]));
  const K = (config.model.image_size / config.model.patch_size) ** 2;
  const seen = () => encode(student, replace(whole, mask), { dropPath: dropPath?.large });
  show(
    'student.cls',
    logits(student, last.cls, () => clsRows(seen())),
  );
  show(
    'teacher.cls',
    logits(teacher, last.cls, () => clsRows(encode(teacher, all(whole)))),
  );
  for (const [name, of, tokens] of [
    ['student.patch', student, seen],
    ['teacher.patch', teacher, () => encode(teacher, all(whole))],
  ] as const) {
    const cube = byImage(logits(of, last.patch, () => patchRows(tokens())));
    show(name, cube);
    cube.dispose();
  }
  if (small.length > 0)
    show(
      'student.local_cls',
      logits(student, last.cls, () =>
        clsRows(encode(student, all(joinImages(small), config.crops.small_size), { dropPath: dropPath?.small })),
      ),
    );
}
