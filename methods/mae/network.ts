import type { NetworkSpec } from '../../electron/engine/network.ts';
import { blockSpecs, encoderSpecs, linearSpecs, normSpecs, type StartRules } from '../../electron/engine/parameters.ts';
import { sincosBuffer } from '../../electron/engine/positions.ts';
import { torchStart } from '../../electron/engine/specs.ts';
import { gridOf } from '../../shared/config.ts';
import type { MAERunConfig } from './config.ts';

/** Start and decay of the published code (models_mae.py; `add_weight_decay` of timm, which skips no token). */
const START: StartRules = {
  matrix: (to, from) => ({ kind: 'uniform', limit: Math.sqrt(6 / (from + to)) }), // Xavier
  token: { kind: 'normal', std: 0.02 },
  patchBias: torchStart, // as a convolution's
  hasMaskToken: false,
  noDecay: new Set(),
};

/** An encoder that sees a part of the patches, and a decoder with a token for the others; positions of both are fixed. */
export function network({ model, decoder }: Pick<MAERunConfig, 'model' | 'decoder'>): NetworkSpec {
  const grid = gridOf(model);
  return {
    model,
    parameters: [
      ...encoderSpecs(model, START),
      ...linearSpecs('decoder_embed', decoder.embed_dim, model.embed_dim, START),
      { name: 'mask_token', shape: [1, 1, decoder.embed_dim], decay: true, init: START.token },
      ...blockSpecs('decoder_blocks.', { ...model, ...decoder }, START),
      ...normSpecs('decoder_norm', decoder.embed_dim),
      ...linearSpecs('decoder_pred', 3 * model.patch_size ** 2, decoder.embed_dim, START),
    ],
    buffers: [
      sincosBuffer('pos_embed', grid, model.embed_dim),
      sincosBuffer('decoder_pos_embed', grid, decoder.embed_dim),
    ],
  };
}
