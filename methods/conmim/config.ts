import { z } from 'zod';
import {
  type ConfigOf,
  checkMask,
  type InputOf,
  maskSchema,
  momentumSchema,
  projectorSchema,
  type Refuse,
  type RunConfig,
} from '../../shared/config.ts';

/**
 * What a configuration of ConMIM has beside the common sections. Names in `code` in a description are those of the
 * published code (run_conmim_pretraining.py, datasets.py, masking_generator.py of TencentARC/ConMIM); "paper" is arXiv
 * 2205.09616.
 */

export const contrastSchema = z.strictObject({
  temperature: z.number().positive().max(10).default(0.1).describe('softmax temperature (`temp`; paper, eq. 3)'),
  dictionary: z
    .enum(['image', 'batch'])
    .default('image')
    .describe("where keys come from: the query's own image (the paper's choice), or every image of the micro-batch"),
});

export const viewsSchema = z.strictObject({
  teacher: z
    .enum(['strong', 'weak', 'same'])
    .default('strong')
    .describe(
      "the teacher's full image: strong augmentation, weak, or the very pixels of the student's view (paper, asymmetric perturbation)",
    ),
  student: z.enum(['weak', 'strong']).default('weak').describe("the student's masked image"),
});

export const sections = {
  projector: projectorSchema.prefault({}),
  contrast: contrastSchema.prefault({}),
  mask: maskSchema.prefault({}),
  views: viewsSchema.prefault({}),
  momentum: momentumSchema.prefault({}),
};
/** A complete, valid configuration of ConMIM. */
export type ConMIMRunConfig = ConfigOf<typeof sections> & { method: { name: string } };
/** The parts that look-ups, and so the loss, are computed by. */
export type LookupConfig = Pick<ConMIMRunConfig, 'model' | 'projector' | 'contrast'>;
export type Contrast = LookupConfig['contrast'];
/** What a user writes: any part of it. */
export type ConMIMInput = InputOf<typeof sections>;

/** A configuration of this method, with its own sections: `RunConfig` is what the house knows of it. */
export const ours = (config: RunConfig) => config as unknown as ConMIMRunConfig;

export function check(config: RunConfig, refuse: Refuse): void {
  checkMask(ours(config).mask, config.model, refuse);
}
