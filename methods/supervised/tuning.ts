import type { Tuning } from '../../electron/engine/tuning.ts';
import { settingsOf } from './config.ts';
import { classifierStart } from './network.ts';
import { configOf, drawDropPath, logits, type SupervisedBatch, type SupervisedConfig, step } from './step.ts';

/** Trains a fine-tuning; the caller supplies images and labels. */
export const tuning: Tuning<SupervisedConfig, SupervisedBatch> = {
  step,
  configOf: (model, classes, settings) => configOf(model, classes, settingsOf(settings)),
  startOf: (config, pretrained, random) => classifierStart(step.student(config), pretrained, random),
  batchOf: ({ images, targets }, config, random) => ({
    images,
    targets,
    dropPath: drawDropPath(targets.length / config.classes, config, random('drop path')),
  }),
  scores: (network, images, config) => logits(network, images, config),
};
