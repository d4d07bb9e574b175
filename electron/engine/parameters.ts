import type { EncoderTrainingConfig, ModelConfig, ProjectorConfig } from '../../shared/config.ts';
import { gridOf, patchesOf } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import type { Uniform } from '../../shared/random.ts';
import type { HostTensor, TensorSource } from '../../shared/tensors.ts';
import { headBuffers, headSpecs, projectorHead } from './heads.ts';
import { sincosBuffer } from './positions.ts';
import { type BufferSpec, freeze, type Init, type ParameterSpec, torchStart } from './specs.ts';

export type EncoderConfig = ModelConfig;

/** What published codes do differently when they start, and decay, the same encoder. */
export interface StartRules {
  /** Of a matrix `[to, from]`. @param block number of the residual branch's block, for a matrix that ends one; else null */
  matrix(to: number, from: number, block: number | null): Init;
  /** Of the matrix `[3 dim, dim]` of queries, keys and values, where it starts as three. */
  qkv?(dim: number): Init;
  token: Init;
  /** Of the patch embedding, where it does not start as `matrix` has it. @param values of a patch */
  patch?(dim: number, values: number): Init;
  /** Of the patch embedding's bias. */
  patchBias(values: number): Init;
  /** Whether the encoder has a token in place of masked patches. */
  hasMaskToken: boolean;
  /** Names that weight decay does not apply to, beside one-dimensional tensors and biases. */
  noDecay: ReadonlySet<string>;
  /** Whether it applies to all of them nevertheless. */
  decaysAll?: boolean;
}

const constant = (value: number): Init => ({ kind: 'constant', value });

/**
 * BEiT's and ConMIM's (`_init_weights` and `fix_init_weight` of modeling_pretrain.py): deeper residual branches start
 * smaller, so that the sum of all of them keeps its scale.
 */
export const depthScaledStart = (std: number): StartRules => {
  const normal = (divideBy = 1): Init => ({ kind: 'truncated-normal', std, divideBy });
  return {
    matrix: (_to, _from, block) => normal(block === null ? 1 : Math.sqrt(2 * (block + 1))),
    token: normal(),
    patchBias: () => constant(0),
    hasMaskToken: true,
    noDecay: new Set(['pos_embed', 'cls_token']),
  };
};

/**
 * MoCo v3's (arXiv 2104.02057; vits.py of its published code): matrices as Glorot starts them, those of queries, keys and
 * values each for itself; biases 0.
 */
export const glorotStart = (decaysAll: boolean): StartRules => ({
  matrix: (to, from) => ({ kind: 'uniform', limit: Math.sqrt(6 / (from + to)) }),
  qkv: (dim) => ({ kind: 'uniform', limit: Math.sqrt(3 / dim) }),
  token: { kind: 'normal', std: 1e-6 },
  patchBias: () => constant(0),
  hasMaskToken: false,
  noDecay: new Set(['pos_embed', 'cls_token']),
  decaysAll,
});

/**
 * DeiT's, DINO's and iBOT's (arXiv 2012.12877, 2104.14294, 2111.07832): matrices and tokens normal, the patch embedding as
 * PyTorch starts a convolution. Decay spares no token.
 */
export const normalStart: StartRules = {
  matrix: () => ({ kind: 'normal', std: 0.02 }),
  token: { kind: 'normal', std: 0.02 },
  patch: (_dim, values) => torchStart(values),
  patchBias: torchStart,
  hasMaskToken: false,
  noDecay: new Set(),
};

/** Where the three columns of a projector layer stand in the published `nn.Sequential`: linear, BatchNorm, ReLU. */
export const projectorIndex = (layer: number) => ({ linear: 3 * layer, norm: 3 * layer + 1 });

type Add = (name: string, shape: number[], init: Init) => void;

const adder =
  (specs: ParameterSpec[], { noDecay }: Pick<StartRules, 'noDecay'>): Add =>
  (name, shape, init) => {
    const decay = !(shape.length === 1 || name.endsWith('.bias') || noDecay.has(name));
    specs.push({ name, shape, decay, init });
  };

/** Relative positions that all blocks share. */
export const SHARED_TABLE = 'rel_pos_bias.relative_position_bias_table';
/** The table of a block that has one of its own. */
export const ownTable = (prefix: string, i: number) => `${prefix}${i}.attn.relative_position_bias_table`;

/** Every pair of places has a row; CLS to a token, a token to CLS, and CLS to itself have one each. */
export const relativeTableShape = (model: EncoderConfig) => [(2 * gridOf(model) - 1) ** 2 + 3, model.num_heads];

/** Every trained tensor of a model, in the order of the published `named_parameters`. */
export function parameterSpecs(model: ModelConfig, projector: ProjectorConfig): ParameterSpec[] {
  const matrix = (): Init => ({ kind: 'truncated-normal', std: model.init_std, divideBy: 1 });
  return [...encoderSpecs(model), ...headSpecs(projectorHead(model.embed_dim, projector), { matrix })];
}

/** Every trained tensor of an encoder: tokens, blocks, last LayerNorm. */
export function encoderSpecs(
  model: EncoderConfig,
  rules: StartRules = depthScaledStart(model.init_std),
): ParameterSpec[] {
  const specs: ParameterSpec[] = [];
  const add = adder(specs, rules);
  const { embed_dim: dim, patch_size: patch } = model;
  const values = 3 * patch * patch;
  add('cls_token', [1, 1, dim], rules.token);
  if (rules.hasMaskToken) add('mask_token', [1, 1, dim], rules.token);
  if (model.position === 'absolute') add('pos_embed', [1, patchesOf(model) + 1, dim], rules.token);
  const ofPatch = rules.patch?.(dim, values) ?? rules.matrix(dim, values, null);
  add('patch_embed.proj.weight', [dim, 3, patch, patch], ofPatch);
  add('patch_embed.proj.bias', [dim], rules.patchBias(values));
  if (model.position === 'shared-relative-bias') {
    add(SHARED_TABLE, relativeTableShape(model), constant(0));
  }
  specs.push(...blockSpecs('blocks.', model, rules), ...normSpecs('norm', dim));
  return rules.decaysAll ? specs.map((spec) => ({ ...spec, decay: true })) : specs;
}

/**
 * An encoder alone, whatever its method put on it: what features, evaluations and exports need. Fixed positions are among
 * its buffers, and stand in a checkpoint like all else.
 */
export function plainEncoder(model: EncoderConfig): { parameters: ParameterSpec[]; buffers: BufferSpec[] } {
  const parameters = encoderSpecs(model, { ...depthScaledStart(model.init_std), hasMaskToken: false });
  const positions = { name: 'pos_embed', shape: [1, patchesOf(model) + 1, model.embed_dim], value: 0 };
  return { parameters, buffers: model.position === 'fixed-sincos' ? [positions] : [] };
}

/**
 * The encoder of MoCo v3 (arXiv 2104.02057, sections 4.2 and 5), which others are tried on too: fixed positions, the row
 * first, where the model has no others; a patch embedding that may stay as it starts; weight decay on all that is trained, or
 * not on biases and scales.
 */
export function contrastiveEncoder(
  model: EncoderConfig,
  { frozen_patch_embedding, decay_all }: EncoderTrainingConfig,
): { parameters: ParameterSpec[]; buffers: BufferSpec[] } {
  const specs = encoderSpecs(model, glorotStart(decay_all));
  return {
    parameters: frozen_patch_embedding ? freeze(specs, (name) => name.startsWith('patch_embed.')) : specs,
    buffers:
      model.position === 'fixed-sincos' ? [sincosBuffer('pos_embed', gridOf(model), model.embed_dim, 'row')] : [],
  };
}

/** Of the blocks of a transformer. @param prefix name before a block's number, with the dot */
export function blockSpecs(
  prefix: string,
  model: Pick<EncoderConfig, 'embed_dim' | 'depth' | 'mlp_ratio' | 'layer_scale_init'>,
  rules: StartRules,
): ParameterSpec[] {
  const specs: ParameterSpec[] = [];
  const add = adder(specs, rules);
  const dim = model.embed_dim;
  const hidden = Math.trunc(dim * model.mlp_ratio);
  for (let i = 0; i < model.depth; i++) {
    const at = `${prefix}${i}.`;
    if (model.layer_scale_init > 0) {
      add(`${at}gamma_1`, [dim], constant(model.layer_scale_init));
      add(`${at}gamma_2`, [dim], constant(model.layer_scale_init));
    }
    specs.push(...normSpecs(`${at}norm1`, dim));
    add(`${at}attn.q_bias`, [dim], constant(0));
    add(`${at}attn.v_bias`, [dim], constant(0));
    add(`${at}attn.qkv.weight`, [3 * dim, dim], rules.qkv?.(dim) ?? rules.matrix(3 * dim, dim, null));
    add(`${at}attn.proj.weight`, [dim, dim], rules.matrix(dim, dim, i));
    add(`${at}attn.proj.bias`, [dim], constant(0));
    specs.push(...normSpecs(`${at}norm2`, dim));
    add(`${at}mlp.fc1.weight`, [hidden, dim], rules.matrix(hidden, dim, null));
    add(`${at}mlp.fc1.bias`, [hidden], constant(0));
    add(`${at}mlp.fc2.weight`, [dim, hidden], rules.matrix(dim, hidden, i));
    add(`${at}mlp.fc2.bias`, [dim], constant(0));
  }
  return specs;
}

/** Of a linear layer: NAME.weight `[to, from]` and NAME.bias `[to]`. */
export function linearSpecs(
  name: string,
  to: number,
  from: number,
  rules: Pick<StartRules, 'matrix'>,
): ParameterSpec[] {
  return [
    { name: `${name}.weight`, shape: [to, from], decay: true, init: rules.matrix(to, from, null) },
    { name: `${name}.bias`, shape: [to], decay: false, init: constant(0) },
  ];
}

/** Of a LayerNorm: NAME.weight and NAME.bias, `[dim]` each. */
export function normSpecs(name: string, dim: number): ParameterSpec[] {
  return [
    { name: `${name}.weight`, shape: [dim], decay: false, init: constant(1) },
    { name: `${name}.bias`, shape: [dim], decay: false, init: constant(0) },
  ];
}

/** BatchNorm's running statistics, in the published order. */
export const bufferSpecs = (projector: ProjectorConfig): BufferSpec[] => headBuffers(projectorHead(1, projector));

export const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** A tensor of a state by name. @throws AppError bad-file where it is missing or of another shape. */
export function requireTensor(state: TensorSource, name: string, shape: readonly number[]): HostTensor {
  const found = state.get(name);
  const next = 'Use weights made with the same model and projector sizes, or change the configuration to theirs.';
  if (!found) throw new AppError('bad-file', `The weights have no tensor "${name}".`, '', next);
  if (found.data.length !== sizeOf(shape) || found.shape.join() !== shape.join()) {
    throw new AppError('bad-file', `"${name}" has the shape [${found.shape}], not [${shape}].`, '', next);
  }
  return found;
}

/** The first state of a network, each tensor made when it is asked for. */
export function startOf(
  { parameters, buffers }: { parameters: readonly ParameterSpec[]; buffers: readonly BufferSpec[] },
  random: (name: string) => Uniform,
): TensorSource {
  const specs = new Map(parameters.map((spec) => [spec.name, spec]));
  const others = new Map(buffers.map((spec) => [spec.name, spec]));
  return {
    get(name) {
      const spec = specs.get(name);
      if (spec) return { shape: spec.shape, data: initialTensor(spec, random(name)) };
      const buffer = others.get(name);
      return buffer && { shape: buffer.shape, data: initialBuffer(buffer, random(name)) };
    },
  };
}

/** A buffer as it starts, row-major. */
export const initialBuffer = ({ shape, value }: BufferSpec, random: Uniform): Float32Array =>
  typeof value === 'number' ? new Float32Array(sizeOf(shape)).fill(value) : value(random);

/** A tensor as it starts, row-major. */
export function initialTensor({ shape, init }: ParameterSpec, random: Uniform): Float32Array {
  const data = new Float32Array(sizeOf(shape));
  switch (init.kind) {
    case 'constant':
      return data.fill(init.value);
    case 'uniform':
      return data.map(() => init.limit * (2 * random.next() - 1));
    case 'normal':
      return fillNormal(data, init.std, 1, random, () => true);
    case 'truncated-normal':
      return fillNormal(data, init.std, init.divideBy, random, (z) => Math.abs(z) <= 1);
  }
}

/** Normal of the given deviation, drawn again where `accepts` refuses (`trunc_normal_(a=-std, b=std)`); in place. */
export function fillNormal(
  data: Float32Array,
  std: number,
  divideBy: number,
  random: Uniform,
  accepts: (z: number) => boolean,
): Float32Array {
  let spare = Number.NaN;
  const normal = () => {
    if (!Number.isNaN(spare)) {
      const value = spare;
      spare = Number.NaN;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - random.next())); // Box and Muller
    const angle = 2 * Math.PI * random.next();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
  for (let i = 0; i < data.length; i++) {
    let z = normal();
    while (!accepts(z)) z = normal();
    data[i] = (z * std) / divideBy;
  }
  return data;
}
