import { hasPositions, type ModelConfig } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import type { StateDict } from '../../../shared/tensors.ts';

/** The `beit_*` models of timm (timm/models/beit.py, 1.0): all with 16-pixel patches and a relative bias in each block. */
const NAMED: readonly { name: string; sizes: [side: number, dim: number, depth: number, heads: number] }[] = [
  { name: 'beit_base_patch16_224', sizes: [224, 768, 12, 12] },
  { name: 'beit_base_patch16_384', sizes: [384, 768, 12, 12] },
  { name: 'beit_large_patch16_224', sizes: [224, 1024, 24, 16] },
  { name: 'beit_large_patch16_384', sizes: [384, 1024, 24, 16] },
  { name: 'beit_large_patch16_512', sizes: [512, 1024, 24, 16] },
];
/** Epsilon of timm's LayerNorm. */
const TIMM_EPS = 1e-6;

const SHARED_BIAS = 'rel_pos_bias.relative_position_bias_table';

/**
 * An encoder's tensors under the names that timm's `Beit` loads. Two of them are others than the published pretraining
 * code's: the relative position bias, which all blocks share, is copied into each block, as the named models have none
 * that is shared (the sum is the same); and the last LayerNorm is `fc_norm`, as timm averages tokens before it by
 * default.
 */
export function timmTensors(encoder: StateDict, model: ModelConfig): StateDict {
  const tensors: StateDict = new Map();
  for (const [name, tensor] of encoder) {
    if (name === SHARED_BIAS) {
      for (let i = 0; i < model.depth; i++) tensors.set(`blocks.${i}.attn.relative_position_bias_table`, tensor);
    } else tensors.set(name.replace(/^norm\./, 'fc_norm.'), tensor);
  }
  return tensors;
}

const OWN_BIAS = /^blocks\.\d+\.attn\.relative_position_bias_table$/;

/**
 * The way back: tensors under timm's names as the published pretraining code has them; others are left as they are.
 * @throws AppError bad-file where blocks have biases that differ, which one shared bias cannot hold
 */
export function fromTimm(tensors: StateDict): StateDict {
  const out: StateDict = new Map();
  for (const [name, tensor] of tensors) {
    if (OWN_BIAS.test(name)) {
      const shared = out.get(SHARED_BIAS);
      if (shared && !shared.data.every((value, i) => value === tensor.data[i]))
        throw new AppError(
          'bad-file',
          'Each block of these weights has a relative position bias of its own.',
          'Networks here have one that all blocks share, as BEiT is pretrained; once it was fine-tuned it has one in each.',
          'Name the file of the pretraining, which has a shared bias.',
        );
      out.set(SHARED_BIAS, tensor);
    } else out.set(tensors.has('norm.weight') ? name : name.replace(/^fc_norm\./, 'norm.'), tensor);
  }
  return out;
}

/** The model of timm that has exactly these sizes, or null. */
export function timmName(model: ModelConfig): string | null {
  const sizes = [model.image_size, model.embed_dim, model.depth, model.num_heads].join();
  const fits =
    model.patch_size === 16 &&
    model.position === 'shared-relative-bias' &&
    Math.trunc(model.embed_dim * model.mlp_ratio) === 4 * model.embed_dim &&
    model.layer_scale_init > 0 &&
    model.layer_norm_eps === TIMM_EPS;
  return (fits && NAMED.find((named) => named.sizes.join() === sizes)?.name) || null;
}

/** The Python expression that makes the model, without a head; it needs `timm`, and `functools` and `torch` where it names them. */
export function timmExpression(model: ModelConfig): string {
  const name = timmName(model);
  if (name) return `timm.create_model('${name}', num_classes=0)`;
  const settings: [string, string | number][] = [
    ['img_size', model.image_size],
    ['patch_size', model.patch_size],
    ['embed_dim', model.embed_dim],
    ['depth', model.depth],
    ['num_heads', model.num_heads],
    ['mlp_ratio', model.mlp_ratio],
    ['init_values', model.layer_scale_init > 0 ? model.layer_scale_init : 'None'],
    ['use_abs_pos_emb', hasPositions(model) ? 'True' : 'False'],
    ['use_rel_pos_bias', model.position === 'shared-relative-bias' ? 'True' : 'False'],
  ];
  if (model.layer_norm_eps !== TIMM_EPS)
    settings.push(['norm_layer', `functools.partial(torch.nn.LayerNorm, eps=${model.layer_norm_eps})`]);
  settings.push(['num_classes', 0]);
  return `timm.models.beit.Beit(${settings.map(([key, value]) => `${key}=${value}`).join(', ')})`;
}
