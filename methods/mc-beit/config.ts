import { z } from 'zod';
import {
  type ConfigOf,
  checkMask,
  type InputOf,
  MODEL_SIZES,
  maskSchema,
  type Refuse,
  type RunConfig,
  type RunConfigInput,
} from '../../shared/config.ts';
import { studentSchema } from '../beit/config.ts';
import { tokenizerSection } from '../tokenizer/lending.ts';

/**
 * What a configuration of mc-BEiT has beside the common sections. Names in `code` in a description are those of the
 * published code (run_mcbeit_pretraining.py of lixiaotong97/mc-BEiT); "paper" is arXiv 2203.15371.
 */

export const targetsSchema = z.strictObject({
  temperature: z
    .number()
    .positive()
    .max(1000)
    .nullable()
    .default(null)
    .describe(
      "by which the tokenizer's logits are divided (`temp`, 4.0 for the published tokenizer); null: such that a target names a " +
        'sixteenth of the tokens, found by the first batch',
    ),
  omega: z
    .number()
    .min(0)
    .max(1)
    .default(0.2)
    .describe("weight of what alike patches share; the rest is the patch's own (`omega`)"),
  similarity_temperature: z
    .number()
    .positive()
    .max(10)
    .default(1)
    .describe('of the softmax over how alike the student finds patches (1 as published)'),
  through_similarity: z
    .boolean()
    .default(true)
    .describe('whether the gradient goes through that likeness too, as published'),
});

export const sections = {
  mask: maskSchema.prefault({ kind: 'uniform', ratio: 0.75 }),
  targets: targetsSchema.prefault({}),
  tokenizer: tokenizerSection,
  student: studentSchema.prefault({}),
};
/** A complete, valid configuration of mc-BEiT. */
export type McBEiTRunConfig = ConfigOf<typeof sections>;
/** What a user writes: any part of it. */
export type McBEiTInput = InputOf<typeof sections>;

/** A configuration of this method, with its own sections: `RunConfig` is what the house knows of it. */
export const ours = (config: RunConfig) => config as unknown as McBEiTRunConfig;

/** Published settings of the common sections (README): batch 2,048, no colours. */
export const defaults: RunConfigInput = {
  model: { ...MODEL_SIZES['vit-base'] },
  augment: { jitter: 0, brightness: 0, contrast: 0, saturation: 0, hue: 0, gray: 0, blur: 0, solarize: 0 },
  optimizer: { lr: 1.5e-3, min_lr: 1e-5, warmup_epochs: 10, betas: [0.9, 0.98], clip_grad: 3 },
};

export function check(config: RunConfig, refuse: Refuse): void {
  checkMask(ours(config).mask, config.model, refuse);
}
