import { prefixed, under, unprefixed } from '../../electron/engine/names.ts';
import { sincosOrder } from '../../electron/engine/positions.ts';
import type { Published } from '../../electron/engine/published.ts';
import { encoderSizes } from '../../electron/engine/shapes.ts';
import { AppError } from '../../shared/errors.ts';
import type { StateDict } from '../../shared/tensors.ts';
import {
  centresOf,
  fromPublished,
  sharesLastLayer,
  toPublished,
  withBothLastLayers,
  withOneLastLayer,
  withoutCentres,
} from './names.ts';

const LOSS = 'ibot_loss.';
/** What this method alone has: the token of masked patches, a second name of the last layer, centres. */
const OWN = /(^|\.)(masked_embed$|head\.last_layer2\.)|^ibot_loss\./;
/** All that there is of an encoder whose branches may be scaled. A classifier, say, is none of it. */
const ENCODER =
  /^(cls_token|pos_embed|(patch_embed\.proj|norm|blocks\.\d+\.(norm[12]|attn\.(qkv|proj)|mlp\.fc[12]))\.(weight|bias)|blocks\.\d+\.gamma_[12])$/;

/** Files of bytedance/ibot: both networks and the loss's centres, or the encoder of one of them. */
export const published: Published = {
  keys: [
    ['student', 'teacher', 'ibot_loss'],
    ['student', 'teacher'],
  ],
  recognise(file) {
    const names = [...file.keys()];
    if (names.some((name) => OWN.test(name))) return 'method';
    const isEncoder = file.has('blocks.0.attn.qkv.bias') && names.every((name) => ENCODER.test(name));
    return isEncoder && file.has('pos_embed') && sincosOrder(file.get('pos_embed')) === null ? 'encoder' : null;
  },
  read(file) {
    const centres = under(file, LOSS);
    // The student's names have those of distributed training in front, and the teacher's have not.
    const of = (network: string) => fromPublished(unprefixed(under(file, `${network}.`), 'module.'));
    const found = [of('student'), of('teacher')].filter(({ size }) => size > 0);
    if (found.length === 0) found.push(fromPublished(new Map([...file].filter(([name]) => !name.startsWith(LOSS)))));
    // Two networks are alike: where one has layers of its own for CLS and patches, so has the other.
    const [student, teacher] = found.every(sharesLastLayer) ? found.map(withOneLastLayer) : found;
    return { student: new Map([...student!, ...centres]), ...(teacher && { teacher }) };
  },
  write: (state) =>
    new Map([
      ...withBothLastLayers(toPublished(withoutCentres(state))),
      ...prefixed(centresOf(state), LOSS, () => true),
    ]),
  sizes(student) {
    if ([...student.keys()].some((name) => name.startsWith('layers.'))) {
      throw new AppError(
        'bad-file',
        'These weights are of a Swin Transformer.',
        'It merges patches on its way; the encoders here are plain Vision Transformers.',
        'Name a file of a ViT: ViT-S, ViT-B or ViT-L.',
      );
    }
    const head = headSizes(student);
    return { config: { model: encoderSizes(student).model, ...(head && { head }) }, unsaid: ['model.num_heads'] };
  },
  // Published sides of small crops are no multiple of every patch.
  assumes: { crops: { small: 0 } },
  parts: [
    { title: 'head', begins: ['head.'] },
    { title: 'mask token', begins: ['mask_token'] },
    { title: 'centres', begins: ['center'] },
  ],
};

/** Of linear layers with a GELU between, and the last one; null where there are none. */
function headSizes(student: StateDict) {
  const shapeOf = (layer: number) => student.get(`head.mlp.${2 * layer}.weight`)?.shape;
  let layers = 0;
  while (shapeOf(layers)) layers++;
  const last = student.get('head.last_layer.weight_v')?.shape;
  if (layers === 0 || !last) return null;
  return {
    layers,
    hidden: shapeOf(0)![0]!,
    bottleneck: shapeOf(layers - 1)![0]!,
    out: last[0]!,
    shared: !student.has('head.last_layer2.weight_v'),
    // A length that is trained is nowhere what it started as.
    unit_rows: student.get('head.last_layer.weight_g')?.data.every((length) => length === 1) ?? false,
  };
}
