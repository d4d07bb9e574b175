import { optimizerSchema, trainSchema } from '../../shared/config.ts';
import type { LabelledMethod } from '../../shared/labelled-method.ts';
import { fineTuneSchema, peakRate, settingsOf } from './config.ts';
import { account } from './figures.ts';

/** Fine-tuning: a pretrained encoder and a classifier, trained whole on labelled images. */
export const method: LabelledMethod = {
  ...account,
  name: 'supervised',
  title: 'Fine-tuning',
  hasTeacher: false,
  settings: fineTuneSchema,
  // What the recipe does not say of optimizer and steps is the house's default, not that of the method that pretrained.
  configure(config, given) {
    const settings = settingsOf(given);
    const { batch_size, epochs, seed, mixed_precision, recompute } = settings;
    return {
      ...config,
      augment: { ...config.augment, crop_scale: settings.crop_scale },
      optimizer: optimizerSchema.parse({
        lr: peakRate(settings),
        min_lr: settings.min_lr,
        warmup_epochs: Math.min(settings.warmup_epochs, epochs / 5),
        weight_decay: settings.weight_decay,
        clip_grad: settings.clip_grad,
        betas: [0.9, 0.999],
      }),
      train: trainSchema.parse({ batch_size, epochs, seed, mixed_precision, recompute }),
      data: { ...config.data, holdout: 0 },
      checkpoint: { keep_last: 1, keep_best: false, every_epochs: Math.max(1, Math.ceil(epochs / 5)) },
    };
  },
  labelling: settingsOf,
};
