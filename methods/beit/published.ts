import { fromPlain } from '../../electron/engine/names.ts';
import type { Published } from '../../electron/engine/published.ts';
import { encoderSizes } from '../../electron/engine/shapes.ts';
import type { StateDict } from '../../shared/tensors.ts';
import { TOKENIZER } from '../tokenizer/lending.ts';

/** In the place of a tokenizer that a file never has: as small as may be, for it is asked for nothing. */
const NO_TOKENIZER = { width: 1, patch_size: 1, embed_dim: 8, num_heads: 1, depth: 1, decoder_depth: 1 };
/** Of the images that the released weights were pretrained on, which are not ImageNet-1k (README). */
const HALVES: [number, number, number] = [0.5, 0.5, 0.5];

/** Files of microsoft/unilm (beit): the student alone, under the names that the workbench has. */
export const published: Published = {
  keys: [['model']],
  recognise: (file) => (hasHead(file) ? 'method' : null),
  read: (file) => ({ student: fromPlain(file) }),
  write: (state) => state,
  sizes(student) {
    const { model, saysHeads } = encoderSizes(student);
    const codes = student.get('lm_head.weight')?.shape[0];
    return {
      config: {
        model,
        augment: { mean: HALVES, std: HALVES },
        tokenizer: { ...NO_TOKENIZER, ...(codes !== undefined && { codes }) },
      },
      unsaid: saysHeads ? [] : ['model.num_heads'],
    };
  },
  assumes: {},
  parts: [
    { title: 'head', begins: ['lm_head.'] },
    { title: 'mask token', begins: ['mask_token'] },
    { title: 'tokenizer', begins: [TOKENIZER] },
  ],
};

/** A head that says tokens. Others that were made of this code kept it unused, beside a projector. */
function hasHead(file: StateDict): boolean {
  if (!file.has('blocks.0.attn.q_bias') || [...file.keys()].some((name) => name.startsWith('projectors.')))
    return false;
  const [weight, bias] = ['weight', 'bias'].map((name) => file.get(`lm_head.${name}`)?.shape);
  const [codes, dim] = weight ?? [];
  return weight?.length === 2 && bias?.[0] === codes && file.get('cls_token')?.shape.at(-1) === dim;
}
