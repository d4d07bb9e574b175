import { z } from 'zod';
import { trainSchema } from '../../shared/config.ts';
import type { LabelledSettings } from '../../shared/finetune.ts';
import { isRandAugment, PUBLISHED_AA } from '../../shared/rand-augment.ts';

/**
 * Settings of a fine-tuning: every field with its default, unit and source. Names in `code` are those of the published
 * run_class_finetuning.py; "README" is the command that the published README gives for ViT-B on ImageNet (batch 1024).
 */

/** Learning rate and batch size of the published command: the rate that a smaller batch takes is in proportion. */
const PUBLISHED = { lr: 4e-3, batch_size: 1024 };

const share = () => z.number().min(0).max(1);

export const fineTuneSchema = z
  .strictObject({
    epochs: z.number().int().positive().max(10_000).default(100).describe('passes over the images (README)'),
    batch_size: z.number().int().min(2).max(4096).default(32).describe('images of a step; even, as pairs are mixed'),
    lr: z
      .number()
      .positive()
      .max(1)
      .nullable()
      .default(null)
      .describe('peak learning rate of the last layer; null for 4e-3 · batch_size / 1024 (README)'),
    min_lr: z.number().min(0).max(1).default(1e-6).describe('learning rate at the end (`min_lr`)'),
    warmup_epochs: z.number().min(0).default(20).describe('epochs of linear warm-up (README); at most a fifth of all'),
    layer_decay: z
      .number()
      .positive()
      .max(1)
      .default(0.65)
      .describe('learning rate of a layer over that of the layer above (README, `layer_decay`)'),
    weight_decay: z.number().min(0).max(10).default(0.05).describe('decoupled weight decay (`weight_decay`)'),
    clip_grad: z
      .number()
      .positive()
      .nullable()
      .default(null)
      .describe('largest gradient norm; null for none (`clip_grad`)'),
    pooling: z
      .enum(['mean', 'cls'])
      .default('mean')
      .describe('what the classifier reads: the mean of patch tokens (`use_mean_pooling`), or CLS (`use_cls`)'),
    drop_path: z
      .number()
      .min(0)
      .max(0.9)
      .default(0.1)
      .describe('probability that a residual branch is left out, of the last block; rising from 0 (`drop_path`)'),
    smoothing: z.number().min(0).max(0.9).default(0.1).describe('label smoothing (`smoothing`)'),
    mixup: z.number().min(0).max(2).default(0.8).describe('alpha of mixup; 0 for none (README, `mixup`)'),
    cutmix: z.number().min(0).max(2).default(1).describe('alpha of cutmix; 0 for none (README, `cutmix`)'),
    mixup_prob: share().default(1).describe('share of batches that are mixed (`mixup_prob`)'),
    mixup_switch_prob: share()
      .default(0.5)
      .describe('share of those that take cutmix, where both are on (`mixup_switch_prob`)'),
    reprob: share().default(0.25).describe('probability that a rectangle is replaced by noise (`reprob`)'),
    aa: z
      .string()
      .refine(isRandAugment, {
        error: `must be words of timm's RandAugment (m 0 to 10, n, mstd, inc 0 or 1), or none; nearest: ${PUBLISHED_AA}`,
      })
      .default(PUBLISHED_AA)
      .describe('RandAugment after crop and flip, or none (`aa`)'),
    views: z
      .enum(['weak', 'strong'])
      .default('weak')
      .describe("crop and flip (as published), or the teacher's strong augmentation too, before RandAugment"),
    crop_scale: z
      .tuple([z.number().min(0.01).max(1), z.number().min(0.01).max(1)])
      .default([0.08, 1])
      .describe('area of the random crop, share of the image (timm)'),
    init_scale: z
      .number()
      .positive()
      .max(1)
      .default(0.001)
      .describe('factor of the first classifier weights (`init_scale`)'),
    seed: z
      .number()
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(0)
      .describe('seed from which everything random follows'),
    mixed_precision: trainSchema.shape.mixed_precision,
    recompute: trainSchema.shape.recompute,
    evaluate_every: z
      .number()
      .int()
      .positive()
      .default(5)
      .describe('epochs between measurements of accuracy on the test images'),
  })
  .superRefine((s, ctx) => {
    const refuse = (field: string, message: string) => ctx.addIssue({ code: 'custom', path: [field], message });
    if (s.batch_size % 2 === 1) refuse('batch_size', `must be even; nearest: ${s.batch_size + 1}`);
    if (s.crop_scale[0] > s.crop_scale[1]) refuse('crop_scale', 'the first value must not be above the second');
    if (s.min_lr > peakRate(s)) refuse('min_lr', `must not be above the peak rate; nearest: ${peakRate(s)}`);
  });

export type FineTuneSettings = z.output<typeof fineTuneSchema>;

/** The settings of a fine-tuning as this method has them: `LabelledSettings` is what the house knows of them. */
export const settingsOf = (settings: LabelledSettings) => settings as FineTuneSettings;

/** The peak learning rate that a setting means. */
export const peakRate = ({ lr, batch_size }: { lr: number | null; batch_size: number }) =>
  lr ?? (PUBLISHED.lr * batch_size) / PUBLISHED.batch_size;
