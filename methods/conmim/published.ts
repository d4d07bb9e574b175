import { fromPlain } from '../../electron/engine/names.ts';
import { projectorIndex } from '../../electron/engine/parameters.ts';
import { sincosOrder } from '../../electron/engine/positions.ts';
import type { Published } from '../../electron/engine/published.ts';
import { encoderSizes } from '../../electron/engine/shapes.ts';
import { projectorSchema } from '../../shared/config.ts';
import type { StateDict } from '../../shared/tensors.ts';

/** Files of TencentARC/ConMIM: the student alone, under the names that the workbench has. An `lm_head` in them is unused. */
export const published: Published = {
  keys: [['model']],
  recognise(file) {
    if ([...file.keys()].some((name) => name.startsWith('projectors.'))) return 'method';
    // As BEiT names them. Its positions are trained: those of other methods are fixed.
    return file.has('blocks.0.attn.q_bias') && sincosOrder(file.get('pos_embed')) === null ? 'encoder' : null;
  },
  read: (file) => ({ student: fromPlain(file) }),
  write: (state) => state,
  sizes(student) {
    const { model, saysHeads } = encoderSizes(student);
    const projector = projectorSizes(student);
    return { config: { model, ...(projector && { projector }) }, unsaid: saysHeads ? [] : ['model.num_heads'] };
  },
  assumes: { mask: { kind: 'uniform' } },
  parts: [
    { title: 'projector', begins: ['projectors.'] },
    { title: 'mask token', begins: ['mask_token'] },
  ],
};

/** Of its linear layers, `[to, from]` each; null where there are none. */
function projectorSizes(student: StateDict): { layers: number; hidden: number; out: number } | null {
  const weight = (layer: number) => student.get(`projectors.${projectorIndex(layer).linear}.weight`);
  let layers = 0;
  while (weight(layers)) layers++;
  if (layers === 0) return null;
  const hidden = layers > 1 ? weight(0)!.shape[0]! : projectorSchema.parse({}).hidden;
  return { layers, hidden, out: weight(layers - 1)!.shape[0]! };
}
