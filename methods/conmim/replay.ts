import { z } from 'zod';
import { channelsLast, type Replay } from '../../electron/engine/replay.ts';
import { modelSchema, projectorSchema } from '../../shared/config.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { lookupsOf } from './replay-lookups.ts';
import { type ConMIMBatch, type ConMIMConfig, step } from './step.ts';

/** fixture.json: what the published code was given, with or without what it gave. */
const fixtureSchema = z.object({
  image_size: modelSchema.shape.image_size,
  patch_size: modelSchema.shape.patch_size,
  embed_dim: modelSchema.shape.embed_dim,
  depth: modelSchema.shape.depth,
  num_heads: modelSchema.shape.num_heads,
  mlp_ratio: modelSchema.shape.mlp_ratio,
  layer_scale_init: modelSchema.shape.layer_scale_init,
  position: modelSchema.shape.position,
  layer_norm_eps: modelSchema.shape.layer_norm_eps,
  projector: projectorSchema,
  temperature: z.number().positive(),
  optimizer: z.object({
    betas: z.tuple([z.number(), z.number()]).default([0.9, 0.98]),
    eps: z.number().default(1e-8),
    clip_grad_norm: z.number().positive().nullable().default(null),
  }),
  steps: z.array(z.object({ lr: z.number(), weight_decay: z.number(), momentum: z.number() })).min(1),
});

export const replay: Replay<ConMIMConfig, ConMIMBatch> = {
  method: step,
  read(said) {
    const { projector, temperature, optimizer, steps, ...model } = fixtureSchema.parse(said);
    return {
      config: {
        model: modelSchema.parse(model),
        projector,
        contrast: { temperature, dictionary: 'image' },
        optimizer: { betas: optimizer.betas, eps: optimizer.eps, clip_grad: optimizer.clip_grad_norm },
      },
      rates: steps,
    };
  },
  networks: { student: 'student', teacher: 'teacher' },
  batch: (part) => ({
    views: { student: channelsLast(part('student_input')), teacher: channelsLast(part('teacher_input')) },
    mask: part('mask').data,
  }),
  input: 'student_input',
  shown: { student: 'queries', teacher: 'keys' },
  result: ({ loss, grad_norm, figures }) => ({
    loss,
    grad_norm_before_clip: grad_norm,
    lookup_top1: figures.top1!,
  }),
  more: {
    files: ['lookups.step0.json'],
    write(features, part, { contrast }) {
      const [queries, keys] = [features.get('queries')!, features.get('keys')!];
      const [, K, out] = queries.shape as [number, number, number];
      const of = { queries: queries.data, keys: keys.data, out };
      return { 'lookups.step0.json': lookupsOf(of, part('mask').data, K, contrast.temperature) };
    },
  },
  /**
   * The published average goes over every parameter that both networks have, the unused `lm_head` too: no gradient moves
   * the student's, but the teacher's comes nearer to it.
   */
  untouched(init: Record<'student' | 'teacher', StateDict>, used, rates) {
    for (const [name, { data }] of init.teacher) {
      const student = init.student.get(name)?.data;
      if (used.has(name) || student?.length !== data.length) continue;
      for (const { momentum } of rates)
        data.forEach((v, i) => {
          data[i] = momentum * v + (1 - momentum) * student[i]!;
        });
    }
  },
};
