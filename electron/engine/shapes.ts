import { type ModelConfig, modelSchema } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import type { StateDict } from '../../shared/tensors.ts';

/** Dimensions of a head, where nothing says how many heads there are: nearly all published ViTs have these. */
const OF_A_HEAD = 64;
/** Patches along a side where no positions say it: 224 pixels, by 16. */
const USUAL_GRID = 14;

/**
 * An encoder's sizes, as the shapes of its tensors say them.
 * @returns `saysHeads`: whether the number of heads is among what they say
 * @throws AppError bad-file for what is no Vision Transformer
 */
export function encoderSizes(tensors: StateDict): { model: ModelConfig; saysHeads: boolean } {
  const shape = (name: string) => tensors.get(name)?.shape;
  const patch = shape('patch_embed.proj.weight');
  if (patch?.length !== 4) {
    throw new AppError(
      'bad-file',
      'The file has no "patch_embed.proj.weight".',
      'It does not hold a Vision Transformer.',
      'Name a file written by the published code of a method, by export-weights, or by export for timm.',
    );
  }
  const [embed_dim, , patch_size] = patch as [number, number, number, number];
  const table = shape('rel_pos_bias.relative_position_bias_table');
  const positions = shape('pos_embed');
  const grid = positions
    ? Math.round(Math.sqrt(positions[1]! - 1))
    : table
      ? (Math.round(Math.sqrt(table[0]! - 3)) + 1) / 2
      : USUAL_GRID;
  const model: ModelConfig = {
    ...modelSchema.parse({}),
    image_size: grid * patch_size,
    patch_size,
    embed_dim,
    depth: depthOf(tensors, 'blocks.'),
    num_heads: table ? table[1]! : Math.max(1, Math.round(embed_dim / OF_A_HEAD)),
    mlp_ratio: (shape('blocks.0.mlp.fc1.weight')?.[0] ?? 4 * embed_dim) / embed_dim,
    position: table ? 'shared-relative-bias' : positions ? 'absolute' : 'none',
    layer_scale_init: tensors.has('blocks.0.gamma_1') ? 0.1 : 0,
  };
  return { model, saysHeads: table !== undefined };
}

/** Blocks of a transformer. @param prefix of their tensors' names, before a block's number */
export function depthOf(tensors: StateDict, prefix: string): number {
  const numbers = [...tensors.keys()]
    .filter((name) => name.startsWith(prefix))
    .map((name) => /^(\d+)\./.exec(name.slice(prefix.length))?.[1]);
  return numbers.reduce((most, number) => (number === undefined ? most : Math.max(most, Number(number))), 0) + 1;
}
