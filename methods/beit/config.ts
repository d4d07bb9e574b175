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
import { tokenizerSection } from '../tokenizer/lending.ts';

/**
 * What a configuration of BEiT has beside the common sections. Names in `code` in a description are those of the published
 * code (run_beit_pretraining.py of microsoft/unilm); "paper" is arXiv 2106.08254.
 */

export const studentSchema = z.strictObject({
  drop_path: z
    .number()
    .min(0)
    .lt(1)
    .default(0.1)
    .describe('largest probability that a residual branch is left out; it rises from 0 with the block (`drop_path`)'),
});

export const sections = {
  mask: maskSchema.prefault({ kind: 'block', ratio: 0.383 }),
  tokenizer: tokenizerSection,
  student: studentSchema.prefault({}),
};
/** A complete, valid configuration of BEiT. */
export type BEiTRunConfig = ConfigOf<typeof sections>;
/** What a user writes: any part of it. */
export type BEiTInput = InputOf<typeof sections>;

/** A configuration of this method, with its own sections: `RunConfig` is what the house knows of it. */
export const ours = (config: RunConfig) => config as unknown as BEiTRunConfig;

/** Published settings of the common sections (README, ImageNet-1k): batch 2,048, colours of the whole image. */
export const defaults: RunConfigInput = {
  model: { ...MODEL_SIZES['vit-base'] },
  augment: { jitter: 1, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0, gray: 0, blur: 0, solarize: 0 },
  optimizer: { lr: 1.5e-3, min_lr: 1e-5, warmup_epochs: 10, betas: [0.9, 0.999], clip_grad: 3 },
};

export function check(config: RunConfig, refuse: Refuse): void {
  checkMask(ours(config).mask, config.model, refuse);
}
