import type { NetworkSpec } from '../../electron/engine/network.ts';
import {
  depthScaledStart,
  encoderSpecs,
  linearSpecs,
  normSpecs,
  ownTable,
  relativeTableShape,
  SHARED_TABLE,
  startOf,
} from '../../electron/engine/parameters.ts';
import type { ParameterSpec } from '../../electron/engine/specs.ts';
import type { ModelConfig } from '../../shared/config.ts';
import type { Uniform } from '../../shared/random.ts';
import type { TensorSource } from '../../shared/tensors.ts';
import type { FineTuneSettings } from './config.ts';

/** What a classifier is made by. */
export interface ClassifierConfig {
  /** Of the encoder. */
  model: ModelConfig;
  /** How many there are. */
  classes: number;
  settings: Pick<FineTuneSettings, 'pooling' | 'init_scale'>;
}

/**
 * A ViT with a linear classifier (`VisionTransformer` of modeling_finetune.py): the encoder without mask token, a table of
 * relative positions in each block, and where the mean is pooled a LayerNorm of it in place of the last one. Positions that
 * were fixed are trained like the rest, as MAE's models_vit.py does.
 */
export function network({ model, classes, settings: { pooling, init_scale } }: ClassifierConfig): NetworkSpec {
  const isMean = pooling === 'mean';
  const start = depthScaledStart(model.init_std);
  const position = model.position === 'fixed-sincos' ? 'absolute' : model.position;
  const encoder = encoderSpecs({ ...model, position }, { ...start, hasMaskToken: false }).filter(
    ({ name }) => name !== SHARED_TABLE && !(isMean && name.startsWith('norm.')),
  );
  const tables = Array.from(
    { length: model.position === 'shared-relative-bias' ? model.depth : 0 },
    (_, i): ParameterSpec => ({
      name: ownTable('blocks.', i),
      shape: relativeTableShape(model),
      decay: true,
      init: { kind: 'constant', value: 0 },
    }),
  );
  const head = linearSpecs('head', classes, model.embed_dim, {
    matrix: () => ({ kind: 'truncated-normal', std: model.init_std, divideBy: 1 / init_scale }),
  });
  return {
    model,
    parameters: [...encoder, ...tables, ...(isMean ? normSpecs('fc_norm', model.embed_dim) : []), ...head],
    buffers: [],
  };
}

/**
 * A classifier's first state: the pretrained tensors by name, the shared table copied into every block as
 * run_class_finetuning.py does, and what pretraining has not by its own start.
 */
export function classifierStart(
  classifier: NetworkSpec,
  pretrained: TensorSource,
  random: (name: string) => Uniform,
): TensorSource {
  const fresh = startOf(classifier, random);
  const tables = new Set(Array.from({ length: classifier.model.depth }, (_, i) => ownTable('blocks.', i)));
  return {
    get: (name) =>
      pretrained.get(name) ?? (tables.has(name) ? pretrained.get(SHARED_TABLE) : undefined) ?? fresh.get(name),
  };
}

/** Layer of a tensor, from 0 for the embeddings to depth + 1 for the head (`get_num_layer_for_vit` of optim_factory.py). */
export function layerOf(name: string, depth: number): number {
  if (/^(cls_token|mask_token|pos_embed|patch_embed\.)/.test(name)) return 0;
  const [, block] = /^blocks\.(\d+)\./.exec(name) ?? [];
  return block === undefined ? depth + 1 : Number(block) + 1;
}
