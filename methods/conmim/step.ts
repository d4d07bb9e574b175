import { encode } from '../../electron/engine/encoder.ts';
import { projectorHead } from '../../electron/engine/heads.ts';
import { all, type Images, replace } from '../../electron/engine/layers/embed.ts';
import { project } from '../../electron/engine/layers/head.ts';
import { patches, unit } from '../../electron/engine/layers/tokens.ts';
import { frozen } from '../../electron/engine/tape.ts';
import type { Method, TrainerConfig } from '../../electron/engine/trainer.ts';
import type { LookupConfig } from './config.ts';
import { denoisingContrast, type Lookup, lookup } from './contrast.ts';
import { network } from './network.ts';

/** The parts of a configuration that the arithmetic needs. */
export type ConMIMConfig = LookupConfig & TrainerConfig;

/** Images as a loader gives them. */
export interface ConMIMBatch {
  /** `[batch, side, side, 3]`, normalised: what is masked, and the full image. */
  views: { student: Images; teacher: Images };
  /** `[batch, K]`, 1 = masked. */
  mask: Float32Array;
  /** `[batch]`, which image each is; without it they are taken for different ones. */
  imageIds?: Int32Array;
}

/** Masked image modeling with denoising contrast (arXiv 2205.09616, section 3; `train_one_epoch` of engine_for_pretraining.py). */
export const step: Method<ConMIMConfig, ConMIMBatch> = {
  student: network,
  teacher: network,

  step({ student, teacher }, { views, mask, imageIds }, config, show) {
    const { student: corrupted, teacher: full } = views;
    const { model, projector, contrast } = config;
    const head = projectorHead(model.embed_dim, projector);
    // The teacher sees the full image, on batch statistics, and no gradient reaches it.
    const keys = frozen(() => unit(patches(project(teacher, head, encode(teacher, all(full))))));
    const queries = unit(patches(project(student, head, encode(student, replace(corrupted, mask)))));
    const loss = denoisingContrast(queries, keys, mask, contrast);
    const isOther = imageIds ? Array.from(imageIds, (id, i) => id !== imageIds[(i + 1) % imageIds.length]) : null;
    show?.('student', queries.tensor);
    show?.('teacher', keys.tensor);
    return {
      loss,
      figures: { ...lookup(queries.tensor, keys.tensor, mask, contrast, isOther) } satisfies {
        [K in keyof Lookup]: number | null;
      },
    };
  },
};
