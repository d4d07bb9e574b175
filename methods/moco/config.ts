import { z } from 'zod';
import {
  type ConfigOf,
  checkFixedPositions,
  encoderTrainingSchema,
  type InputOf,
  MODEL_SIZES,
  momentumSchema,
  projectorSchema,
  type Refuse,
  type RunConfig,
  type RunConfigInput,
} from '../../shared/config.ts';
import { checkQueue } from '../../shared/key-queue.ts';

/**
 * What a configuration of MoCo has beside the common sections. Names in `code` in a description are those of the published
 * code (main_moco.py, moco/builder.py of facebookresearch/moco-v3, and of facebookresearch/moco for the queue); "v3" is arXiv
 * 2104.02057, "v1" 1911.05722, "v2" 2003.04297, "MoBY" 2105.04553.
 */

const positiveInt = () => z.number().int().positive();
const probability = () => z.number().min(0).max(1);

const contrastSchema = z.strictObject({
  dictionary: z
    .enum(['batch', 'queue', 'queues'])
    .default('batch')
    .describe(
      'among which keys a query looks for its own: those of the batch, both ways (v3), of a queue of earlier keys, one way ' +
        '(v1, v2), or of a queue for each view, both ways (MoBY)',
    ),
  temperature: z.number().positive().max(10).default(0.2).describe('softmax temperature (`moco-t`; v1 has 0.07)'),
  queue: positiveInt()
    .max(2 ** 20)
    .default(65_536)
    .describe(
      'keys that a queue holds, a multiple of train.batch_size (`moco-k`; MoBY 4,096); of few images take fewer than these',
    ),
});

const headSchema = projectorSchema.extend({
  layers: projectorSchema.shape.layers.describe('linear layers of the head on CLS (v3 has 3, v2 and MoBY 2, v1 1)'),
  hidden: projectorSchema.shape.hidden.describe(
    'width of its hidden layers (`moco-mlp-dim`; v2: the width of a token)',
  ),
  out: projectorSchema.shape.out.describe('width of a key or query (`moco-dim`; 128 in v1 and v2)'),
});

const predictorSchema = z.strictObject({
  layers: z
    .number()
    .int()
    .min(1)
    .max(8)
    .default(2)
    .describe("linear layers between the student's head and its queries; a single queue has none (v3, section 3)"),
  hidden: positiveInt().max(16384).default(4096).describe('width of its hidden layers (`moco-mlp-dim`)'),
});

const secondSchema = z.strictObject({
  blur: probability().default(0.1).describe('probability of blur in the second view; of the first: augment.blur'),
  solarize: probability()
    .default(0.2)
    .describe('probability of solarisation in the second view; of the first: augment.solarize'),
});

const ownMomentumSchema = momentumSchema.extend({
  start: probability().default(0.99).describe('momentum at the first step (`moco-m`; 0.999 constant in v1 and v2)'),
});

export const sections = {
  contrast: contrastSchema.prefault({}),
  head: headSchema.prefault({}),
  predictor: predictorSchema.prefault({}),
  second: secondSchema.prefault({}),
  encoder: encoderTrainingSchema.prefault({}),
  momentum: ownMomentumSchema.prefault({}),
};
/** A complete, valid configuration of MoCo. */
export type MoCoRunConfig = ConfigOf<typeof sections>;
/** What a user writes: any part of it. */
export type MoCoInput = InputOf<typeof sections>;

/** A configuration of this method, with its own sections: `RunConfig` is what the house knows of it. */
export const ours = (config: RunConfig) => config as unknown as MoCoRunConfig;

/** Published settings of the common sections (CONFIG.md of moco-v3, for ViT-small): 1,024 images a step. */
export const defaults: RunConfigInput = {
  model: { ...MODEL_SIZES['vit-small'], num_heads: 12, position: 'fixed-sincos', layer_scale_init: 0 },
  augment: {
    crop_scale: [0.08, 1],
    interpolation: 'bilinear',
    jitter: 0.8,
    brightness: 0.4,
    contrast: 0.4,
    saturation: 0.2,
    hue: 0.1,
    gray: 0.2,
    blur: 1,
    solarize: 0,
  },
  optimizer: { lr: 6e-4, min_lr: 0, warmup_epochs: 40, betas: [0.9, 0.999], weight_decay: 0.1, clip_grad: null },
};

export function check(config: RunConfig, refuse: Refuse): void {
  const { model, contrast, train } = ours(config);
  checkFixedPositions('model', model.embed_dim, refuse);
  if (contrast.dictionary !== 'batch') checkQueue(contrast.queue, train, refuse);
}
