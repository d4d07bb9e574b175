import { fromPlain, toPlain, under } from '../../electron/engine/names.ts';
import { projectorIndex } from '../../electron/engine/parameters.ts';
import { sincosOrder } from '../../electron/engine/positions.ts';
import type { Published } from '../../electron/engine/published.ts';
import { encoderSizes } from '../../electron/engine/shapes.ts';
import type { StateDict } from '../../shared/tensors.ts';

/** Heads of the published ViT-small, whose dimensions of a head are 32; of the others they are 64 (vits.py). */
const HEADS: Readonly<Record<number, number>> = { 384: 12 };
/** What the networks are called: in v3, and with a queue. */
const STUDENT = ['base_encoder.', 'encoder_q.'];
const TEACHER = ['momentum_encoder.', 'encoder_k.'];
/** Of the student, and not of its encoder. */
const ALONE = /^(predictor\.|queue)/;

/** The tensors of a network, without its name. */
const networkIn = (file: StateDict, prefixes: readonly string[]): StateDict =>
  fromPlain(new Map(prefixes.flatMap((prefix) => [...under(file, prefix)])));

/** Files of facebookresearch/moco-v3: both encoders with their heads, and the predictor. */
export const published: Published = {
  keys: [],
  recognise(file) {
    const has = (prefix: string) => [...file.keys()].some((name) => name.startsWith(prefix));
    if ([...STUDENT, ...TEACHER].some(has)) return 'method';
    return sincosOrder(file.get('pos_embed')) === 'row' ? 'encoder' : null;
  },
  read(file) {
    const [student, teacher] = [networkIn(file, STUDENT), networkIn(file, TEACHER)];
    const alone = new Map([...file].filter(([name]) => ALONE.test(name)));
    if (student.size > 0 && teacher.size > 0)
      // The predictor, which no teacher has, is the student's in both.
      return { student: new Map([...student, ...alone]), teacher: new Map([...teacher, ...alone]) };
    const one = student.size > 0 ? student : teacher;
    return { student: one.size > 0 ? new Map([...one, ...alone]) : fromPlain(file) };
  },
  write(state, network) {
    const isQueue = [...state.keys()].some((name) => name.startsWith('fc.'));
    const prefix = (network === 'student' ? STUDENT : TEACHER)[isQueue ? 1 : 0]!;
    return new Map([...toPlain(state)].map(([name, tensor]) => [ALONE.test(name) ? name : prefix + name, tensor]));
  },
  sizes(student) {
    const { model } = encoderSizes(student);
    const num_heads = HEADS[model.embed_dim] ?? model.num_heads;
    const [head, predictor] = ['head', 'predictor'].map((name) => sizesOf(student, name));
    return {
      config: {
        model: { ...model, num_heads, position: 'fixed-sincos', layer_scale_init: 0 },
        ...(head && { head }),
        ...(predictor && { predictor: { layers: predictor.layers, hidden: predictor.hidden } }),
      },
      unsaid: ['model.num_heads'],
    };
  },
  assumes: {},
  parts: [
    { title: 'head', begins: ['head.', 'fc.'] },
    { title: 'predictor', begins: ['predictor.'] },
    { title: 'queue', begins: ['queue'] },
  ],
};

/** Of a head's linear layers, `[to, from]` each; null where there are none. */
function sizesOf(student: StateDict, name: string): { layers: number; hidden: number; out: number } | null {
  const shapeOf = (layer: number) => student.get(`${name}.${projectorIndex(layer).linear}.weight`)?.shape;
  let layers = 0;
  while (shapeOf(layers)) layers++;
  return layers === 0 ? null : { layers, hidden: shapeOf(0)![0]!, out: shapeOf(layers - 1)![0]! };
}
