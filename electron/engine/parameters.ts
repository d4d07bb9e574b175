import type { ModelConfig, ProjectorConfig } from '../../shared/config.ts';
import { gridOf, patchesOf } from '../../shared/config.ts';
import type { HostTensor, StateDict, TensorSource, Uniform } from '../../shared/domain.ts';
import { AppError } from '../../shared/errors.ts';

/** How a parameter starts (`_init_weights` and `fix_init_weight` of modeling_pretrain.py). */
type Init = { kind: 'constant'; value: number } | { kind: 'truncated-normal'; std: number; divideBy: number };

export interface ParameterSpec {
  /** The published name; the tensor has the published (PyTorch) layout. */
  name: string;
  shape: number[];
  /** Whether weight decay applies (`get_parameter_groups` of optim_factory.py). */
  decay: boolean;
  init: Init;
}

/** State of a network that no gradient reaches: running statistics of a BatchNorm, fixed positions. */
export interface BufferSpec {
  name: string;
  shape: number[];
  /** What it starts as: one number everywhere, or all values, row-major. */
  value: number | (() => Float32Array);
}

const NO_DECAY = new Set(['pos_embed', 'cls_token']);

/** Where the three columns of a projector layer stand in the published `nn.Sequential`: linear, BatchNorm, ReLU. */
export const projectorIndex = (layer: number) => ({ linear: 3 * layer, norm: 3 * layer + 1 });

type Add = (name: string, shape: number[], init: Init) => void;

const adder =
  (specs: ParameterSpec[]): Add =>
  (name, shape, init) => {
    const decay = !(shape.length === 1 || name.endsWith('.bias') || NO_DECAY.has(name));
    specs.push({ name, shape, decay, init });
  };

const constant = (value: number): Init => ({ kind: 'constant', value });

/** Every pair of places has a row; CLS to a token, a token to CLS, and CLS to itself have one each. */
export const relativeTableShape = (model: ModelConfig) => [(2 * gridOf(model) - 1) ** 2 + 3, model.num_heads];

/** Every trained tensor of a model, in the order of the published `named_parameters`. */
export function parameterSpecs(model: ModelConfig, projector: ProjectorConfig): ParameterSpec[] {
  const specs = encoderSpecs(model);
  const add = adder(specs);
  for (let l = 0; l < projector.layers; l++) {
    const { linear, norm } = projectorIndex(l);
    const last = l === projector.layers - 1;
    const from = l === 0 ? model.embed_dim : projector.hidden;
    const to = last ? projector.out : projector.hidden;
    add(`projectors.${linear}.weight`, [to, from], { kind: 'truncated-normal', std: model.init_std, divideBy: 1 });
    if (!last) {
      add(`projectors.${norm}.weight`, [to], constant(1));
      add(`projectors.${norm}.bias`, [to], constant(0));
    }
  }
  return specs;
}

/** Every trained tensor of an encoder: tokens, blocks, last LayerNorm. */
export function encoderSpecs(model: ModelConfig): ParameterSpec[] {
  const specs: ParameterSpec[] = [];
  const add = adder(specs);
  const { embed_dim: dim, patch_size: patch, depth, init_std: std } = model;
  const hidden = Math.trunc(dim * model.mlp_ratio);
  const normal = (divideBy = 1): Init => ({ kind: 'truncated-normal', std, divideBy });

  add('cls_token', [1, 1, dim], normal());
  add('mask_token', [1, 1, dim], normal());
  if (model.position === 'absolute') add('pos_embed', [1, patchesOf(model) + 1, dim], normal());
  add('patch_embed.proj.weight', [dim, 3, patch, patch], normal());
  add('patch_embed.proj.bias', [dim], constant(0));
  if (model.position === 'shared-relative-bias') {
    add('rel_pos_bias.relative_position_bias_table', relativeTableShape(model), constant(0));
  }
  for (let i = 0; i < depth; i++) {
    const at = `blocks.${i}.`;
    // Deeper residual branches start smaller, so that the sum of all of them keeps its scale.
    const rescale = Math.sqrt(2 * (i + 1));
    if (model.layer_scale_init > 0) {
      add(`${at}gamma_1`, [dim], constant(model.layer_scale_init));
      add(`${at}gamma_2`, [dim], constant(model.layer_scale_init));
    }
    add(`${at}norm1.weight`, [dim], constant(1));
    add(`${at}norm1.bias`, [dim], constant(0));
    add(`${at}attn.q_bias`, [dim], constant(0));
    add(`${at}attn.v_bias`, [dim], constant(0));
    add(`${at}attn.qkv.weight`, [3 * dim, dim], normal());
    add(`${at}attn.proj.weight`, [dim, dim], normal(rescale));
    add(`${at}attn.proj.bias`, [dim], constant(0));
    add(`${at}norm2.weight`, [dim], constant(1));
    add(`${at}norm2.bias`, [dim], constant(0));
    add(`${at}mlp.fc1.weight`, [hidden, dim], normal());
    add(`${at}mlp.fc1.bias`, [hidden], constant(0));
    add(`${at}mlp.fc2.weight`, [dim, hidden], normal(rescale));
    add(`${at}mlp.fc2.bias`, [dim], constant(0));
  }
  add('norm.weight', [dim], constant(1));
  add('norm.bias', [dim], constant(0));
  return specs;
}

/** BatchNorm's running statistics, in the published order. */
export function bufferSpecs(projector: ProjectorConfig): BufferSpec[] {
  return Array.from({ length: projector.layers }, (_, l) => {
    const at = `projectors.${projectorIndex(l).norm}`;
    const width = l === projector.layers - 1 ? projector.out : projector.hidden;
    return [
      { name: `${at}.running_mean`, shape: [width], value: 0 },
      { name: `${at}.running_var`, shape: [width], value: 1 },
      { name: `${at}.num_batches_tracked`, shape: [], value: 0 },
    ];
  }).flat();
}

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

/**
 * A fresh state: every parameter as the published code starts it, and BatchNorm statistics at 0 and 1.
 * @param random gives each parameter its own stream, by name, so that a change of one does not move the others
 */
export function initialState(
  model: ModelConfig,
  projector: ProjectorConfig,
  random: (name: string) => Uniform,
): StateDict {
  const source = initialSource(model, projector, random);
  const specs = [...parameterSpecs(model, projector), ...bufferSpecs(projector)];
  return new Map(specs.map(({ name }) => [name, source.get(name)!]));
}

/** The same, each tensor made when it is asked for. */
export function initialSource(
  model: ModelConfig,
  projector: ProjectorConfig,
  random: (name: string) => Uniform,
): TensorSource {
  const specs = new Map(parameterSpecs(model, projector).map((spec) => [spec.name, spec]));
  const buffers = new Map(bufferSpecs(projector).map((spec) => [spec.name, spec]));
  return {
    get(name) {
      const spec = specs.get(name);
      if (spec) return { shape: spec.shape, data: initialTensor(spec, random(name)) };
      const buffer = buffers.get(name);
      return buffer && { shape: buffer.shape, data: initialBuffer(buffer) };
    },
  };
}

/** A buffer as it starts, row-major. */
export const initialBuffer = ({ shape, value }: BufferSpec): Float32Array =>
  typeof value === 'number' ? new Float32Array(sizeOf(shape)).fill(value) : value();

/** A tensor as it starts, row-major. */
export function initialTensor({ shape, init }: ParameterSpec, random: Uniform): Float32Array {
  const data = new Float32Array(sizeOf(shape));
  if (init.kind === 'constant') data.fill(init.value);
  else fillTruncatedNormal(data, init.std, init.divideBy, random);
  return data;
}

/** Normal of the given standard deviation, redrawn outside one of it (`trunc_normal_(a=-std, b=std)`). */
function fillTruncatedNormal(data: Float32Array, std: number, divideBy: number, random: Uniform): void {
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
    while (Math.abs(z) > 1) z = normal();
    data[i] = (z * std) / divideBy;
  }
}
