import type * as tf from '@tensorflow/tfjs-core';
import type { ModelConfig } from '../../shared/config.ts';
import type { LabelledSettings } from '../../shared/finetune.ts';
import type { Uniform } from '../../shared/random.ts';
import type { TensorSource } from '../../shared/tensors.ts';
import type { Images } from './layers/embed.ts';
import type { Network } from './network.ts';
import type { Value } from './tape.ts';
import type { Method, TrainerConfig } from './trainer.ts';

/** How a method that needs labels trains a network that another one pretrained: `tuning` of tuning.ts of its folder. */
export interface Tuning<Config extends TrainerConfig, Batch> {
  step: Method<Config, Batch>;
  /** @param model of the encoder @param classes how many there are */
  configOf(model: ModelConfig, classes: number, settings: LabelledSettings): Config;
  /** The first state: what was pretrained by name, the rest by its own start. @param random draws of a tensor, by its name */
  startOf(config: Config, pretrained: TensorSource, random: (name: string) => Uniform): TensorSource;
  /**
   * @param labelled images `[batch, side, side, 3]`, normalised and mixed, and targets `[batch, classes]`, rows summing to one
   * @param random draws of this step, by their purpose
   */
  batchOf(
    labelled: { images: Images; targets: Float32Array },
    config: Config,
    random: (purpose: string) => Uniform,
  ): Batch;
  /** What is said of images outside of a step, before the softmax: `[batch, classes]`. */
  scores(network: Network, images: Images, config: Config): Value<tf.Tensor2D>;
}
