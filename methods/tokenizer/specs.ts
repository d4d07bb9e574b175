import {
  blockSpecs,
  depthScaledStart,
  encoderSpecs,
  linearSpecs,
  normSpecs,
  type StartRules,
} from '../../electron/engine/parameters.ts';
import { type BufferSpec, freeze, type ParameterSpec } from '../../electron/engine/specs.ts';
import { TOKENIZER } from './lending.ts';
import { cellsOf, type DVAEShape, encoderOf, type TokenizerShape, type VQShape } from './shape.ts';

/** Names, shapes and starts of the published code (`DiscreteVAE`), which are PyTorch's for convolutions. */
export function dvaeSpecs({ codes, width, layers, hidden }: DVAEShape): ParameterSpec[] {
  const layer = (name: string, shape: [number, number, number, number], out: number): ParameterSpec[] => {
    const init = { kind: 'uniform', limit: 1 / Math.sqrt(shape[1] * shape[2] * shape[3]) } as const;
    return [
      { name: `${name}.weight`, shape, decay: true, init },
      { name: `${name}.bias`, shape: [out], decay: false, init },
    ];
  };
  const residual = (name: string) => [
    ...layer(`${name}.0`, [hidden, hidden, 3, 3], hidden),
    ...layer(`${name}.2`, [hidden, hidden, 3, 3], hidden),
    ...layer(`${name}.4`, [hidden, hidden, 1, 1], hidden),
  ];
  const levels = [...Array(layers).keys()];
  return [
    { name: 'codebook.weight', shape: [codes, width], decay: true, init: { kind: 'normal', std: 1 } },
    ...levels.flatMap((i) => [
      ...layer(`encoder.${2 * i}.0`, [hidden, i === 0 ? 3 : hidden, 4, 4], hidden),
      ...residual(`encoder.${2 * i + 1}.net`),
    ]),
    ...layer(`encoder.${2 * layers}`, [codes, hidden, 1, 1], codes),
    ...levels.flatMap((i) => [
      ...layer(`decoder.${2 * i}.0`, [i === 0 ? width : hidden, hidden, 4, 4], hidden),
      ...residual(`decoder.${2 * i + 1}.net`),
    ]),
    ...layer(`decoder.${2 * layers}`, [3, hidden, 1, 1], 3),
  ];
}

/** The codebook, `[V, width]`, each code of unit length. */
export const CODES = 'quantize.embedding.weight';
/** How many cells fell on each code, a running count. */
export const COUNTS = 'quantize.cluster_size';

/** Matrices by Xavier, which small tokenizers learn from; the rest as BEiT. */
export const xavierStart = (std: number): StartRules => ({
  ...depthScaledStart(std),
  matrix: (to, from) => ({ kind: 'uniform', limit: Math.sqrt(6 / (from + to)) }),
  hasMaskToken: false,
});

/**
 * Names of beit2 (`VQKD`), but that the encoder stands where every encoder of the workbench does, without `encoder.`, and
 * its last LayerNorm is called `norm`: so it can be asked for features as any other.
 */
export function vqSpecs(shape: VQShape, rules: StartRules = xavierStart(0.02)): ParameterSpec[] {
  const { embed_dim: dim, width, decoder_depth: depth } = shape;
  const model = encoderOf(shape);
  const inDecoder = (specs: ParameterSpec[]) => specs.map((spec) => ({ ...spec, name: `decoder.${spec.name}` }));
  const head = (name: string, out: number) => [
    ...linearSpecs(`${name}.0`, dim, dim, rules),
    ...linearSpecs(`${name}.2`, out, dim, rules),
  ];
  return [
    ...encoderSpecs(model, rules),
    ...head('encode_task_layer', width),
    ...inDecoder([
      { name: 'cls_token', shape: [1, 1, dim], decay: false, init: rules.token },
      { name: 'pos_embed', shape: [1, 1 + cellsOf(shape) ** 2, dim], decay: false, init: rules.token },
      { name: 'patch_embed.proj.weight', shape: [dim, width, 1, 1], decay: true, init: rules.matrix(dim, width, null) },
      { name: 'patch_embed.proj.bias', shape: [dim], decay: false, init: { kind: 'constant', value: 0 } },
      ...blockSpecs('blocks.', { ...model, depth }, rules),
      ...normSpecs('fc_norm', dim),
    ]),
    ...head('decode_task_layer', 3 * shape.patch_size ** 2),
  ];
}

export const vqBuffers = ({ codes, width }: VQShape): BufferSpec[] => [
  { name: CODES, shape: [codes, width], value: 0 },
  { name: COUNTS, shape: [codes], value: 0 },
];

/** A tokenizer's tensors as a part of a network that never trains them. */
export function borrowedSpecs(shape: TokenizerShape): { parameters: ParameterSpec[]; buffers: BufferSpec[] } {
  const inPart = <S extends { name: string }>(specs: readonly S[]) =>
    specs.map((spec) => ({ ...spec, name: TOKENIZER + spec.name }));
  const parameters = shape.kind === 'vq' ? vqSpecs(shape) : dvaeSpecs(shape);
  return {
    parameters: freeze(inPart(parameters), () => true),
    buffers: shape.kind === 'vq' ? inPart(vqBuffers(shape)) : [],
  };
}
