import { fromPlain, toPlain } from '../../electron/engine/names.ts';
import { sincosOrder } from '../../electron/engine/positions.ts';
import type { Published } from '../../electron/engine/published.ts';
import { depthOf, encoderSizes } from '../../electron/engine/shapes.ts';

/** Heads of ViT-H, whose dimensions of a head are 80; of the others they are 64 (models_mae.py). */
const HEADS: Readonly<Record<number, number>> = { 1280: 16 };
/** Of every published decoder (models_mae.py). */
const DECODER_HEADS = 16;

/** Files of facebookresearch/mae: encoder and decoder, or the encoder alone, with one bias for queries, keys and values. */
export const published: Published = {
  keys: [['model']],
  recognise(file) {
    if (file.has('decoder_embed.weight') && file.has('mask_token')) return 'method';
    return sincosOrder(file.get('pos_embed')) === 'column' ? 'encoder' : null;
  },
  read: (file) => ({ student: fromPlain(file) }),
  write: toPlain,
  sizes(student) {
    const { model } = encoderSizes(student);
    const num_heads = HEADS[model.embed_dim] ?? model.num_heads;
    const encoder = { ...model, num_heads, position: 'fixed-sincos' as const, layer_scale_init: 0 };
    const width = student.get('decoder_embed.weight')?.shape[0];
    if (width === undefined) return { config: { model: encoder }, unsaid: ['model.num_heads'] };
    const decoder = { embed_dim: width, depth: depthOf(student, 'decoder_blocks.'), num_heads: DECODER_HEADS };
    while (width % decoder.num_heads !== 0) decoder.num_heads--;
    return { config: { model: encoder, decoder }, unsaid: ['model.num_heads', 'decoder.num_heads'] };
  },
  assumes: {},
  parts: [{ title: 'decoder', begins: ['decoder_', 'mask_token'] }],
};
