import type { z } from 'zod';
import type { RunConfig, RunConfigInput } from './config.ts';
import type { Description } from './figures.ts';
import type { LabelledSettings } from './finetune.ts';

/**
 * A method that needs labels: it trains a network that another method pretrained, whole and with a classifier. The run keeps
 * the configuration of that network, and the settings of this method beside it (`FineTune`). As `Method` is for those that
 * learn from images alone, it is plain data and pure functions.
 */
export interface LabelledMethod extends Description {
  /** How settings are read: every field with default, unit and source. */
  settings: z.ZodType<LabelledSettings> & { readonly shape: Readonly<Record<string, z.ZodType>> };
  /** What loader, schedule and optimizer go by. @param config of the network's own run */
  configure(config: RunConfig, settings: LabelledSettings): RunConfigInput;
  /** What the house makes of images and labels before a step gets them. */
  labelling(settings: LabelledSettings): Labelling;
}

/** How images are augmented, mixed with each other and erased, and how they are tested. */
export interface Labelling {
  /** From which all draws follow. */
  seed: number;
  /** RandAugment in timm's words, or none. */
  aa: string;
  /** Colours before it. */
  views: 'weak' | 'strong';
  /** Probability that a rectangle is replaced by noise. */
  reprob: number;
  /** Alphas of mixup and of cutmix; 0 for none. */
  mixup: number;
  cutmix: number;
  /** Share of batches that are mixed, and of those that take cutmix where both are on. */
  mixup_prob: number;
  mixup_switch_prob: number;
  /** Of labels. */
  smoothing: number;
  /** Epochs between measurements of accuracy on the test images. */
  evaluate_every: number;
}
