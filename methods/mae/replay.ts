import { z } from 'zod';
import { fromPlain, toPlain } from '../../electron/engine/names.ts';
import { channelsLast, type Replay } from '../../electron/engine/replay.ts';
import { modelSchema } from '../../shared/config.ts';
import { draw, type MAEBatch, type MAEConfig, step } from './step.ts';

const sizes = z.object({
  embed_dim: modelSchema.shape.embed_dim,
  depth: modelSchema.shape.depth,
  num_heads: modelSchema.shape.num_heads,
});
const fixtureSchema = z.object({
  image_size: modelSchema.shape.image_size,
  patch_size: modelSchema.shape.patch_size,
  mlp_ratio: modelSchema.shape.mlp_ratio,
  layer_norm_eps: modelSchema.shape.layer_norm_eps,
  encoder: sizes,
  decoder: sizes,
  mask_ratio: z.number().gt(0).lt(1),
  norm_pix_loss: z.boolean(),
  optimizer: z.object({
    betas: z.tuple([z.number(), z.number()]).default([0.9, 0.95]),
    eps: z.number().default(1e-8),
    clip_grad_norm: z.number().positive().nullable().default(null),
  }),
  steps: z.array(z.object({ lr: z.number(), weight_decay: z.number() })).min(1),
});

export const replay: Replay<MAEConfig, MAEBatch> = {
  method: step,
  read(said) {
    const { image_size, patch_size, mlp_ratio, layer_norm_eps, encoder, decoder, optimizer, steps, ...rest } =
      fixtureSchema.parse(said);
    return {
      config: {
        model: {
          image_size,
          patch_size,
          mlp_ratio,
          layer_norm_eps,
          ...encoder,
          position: 'fixed-sincos',
          layer_scale_init: 0,
          init_std: 0.02,
        },
        decoder,
        mask: { ratio: rest.mask_ratio },
        target: { normalised: rest.norm_pix_loss },
        optimizer: { betas: optimizer.betas, eps: optimizer.eps, clip_grad: optimizer.clip_grad_norm },
      },
      rates: steps.map((step) => ({ ...step, momentum: 0 })),
    };
  },
  networks: { student: 'model' },
  batch(part, config) {
    const noise = part('noise');
    return {
      views: { image: channelsLast(part('images')) },
      ...draw(Float32Array.from(noise.data), noise.shape.at(-1)!, config.mask.ratio),
    };
  },
  input: 'images',
  result: ({ loss, grad_norm }) => ({ loss, grad_norm_before_clip: grad_norm }),
  names: { read: fromPlain, write: toPlain },
};
