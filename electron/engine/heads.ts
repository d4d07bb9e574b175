import type { ProjectorConfig } from '../../shared/config.ts';
import type { BufferSpec, Init, ParameterSpec } from './specs.ts';

/** A layer of a head, as it stands in a published `nn.Sequential`. */
export type HeadLayer =
  /** NAME.weight `[to, from]`, and NAME.bias where it has one. */
  | { kind: 'linear'; to: number; bias: boolean }
  /** NAME.weight where it has a scale, NAME.bias where it has a shift, and its running statistics. */
  | {
      kind: 'batch-norm';
      scale: boolean;
      shift: boolean;
      eps: number;
      /** Share of a batch in the running statistics. */
      momentum: number;
      /** Which variance the running one follows: PyTorch's the unbiased one, TensorFlow's the biased. */
      running?: 'unbiased' | 'biased';
    }
  | { kind: 'relu' }
  /** The exact one. */
  | { kind: 'gelu' };

/** Layers on rows of features, one after the other: a projector, a predictor, a neck. */
export interface HeadConfig {
  /** Before the place of a layer, counted from 0: `head` for head.0.weight. */
  name: string;
  /** Width of its input. */
  from: number;
  layers: readonly HeadLayer[];
}

/** A layer with its name and widths. */
export interface PlacedLayer<L extends HeadLayer = HeadLayer> {
  name: string;
  layer: L;
  from: number;
  to: number;
}

export function placed({ name, from, layers }: HeadConfig): PlacedLayer[] {
  let width = from;
  return layers.map((layer, i) => {
    const before = width;
    if (layer.kind === 'linear') width = layer.to;
    return { name: `${name}.${i}`, layer, from: before, to: width };
  });
}

/** How a method starts the matrices of a head, and what of it decays beside them. */
export interface HeadRules {
  matrix(to: number, from: number): Init;
  bias?(from: number): Init;
  /** Whether weight decay applies to biases, scales and shifts too. */
  decaysAll?: boolean;
}

/** Every trained tensor of a head, in the order of the published `named_parameters`. */
export function headSpecs(head: HeadConfig, { matrix, bias, decaysAll = false }: HeadRules): ParameterSpec[] {
  const constant = (value: number): Init => ({ kind: 'constant', value });
  return placed(head).flatMap(({ name, layer, from, to }) => {
    const row = (of: string, init: Init) => ({ name: `${name}.${of}`, shape: [to], decay: decaysAll, init });
    if (layer.kind === 'linear') {
      const weight = { name: `${name}.weight`, shape: [to, from], decay: true, init: matrix(to, from) };
      return layer.bias ? [weight, row('bias', bias?.(from) ?? constant(0))] : [weight];
    }
    if (layer.kind !== 'batch-norm') return [];
    return [...(layer.scale ? [row('weight', constant(1))] : []), ...(layer.shift ? [row('bias', constant(0))] : [])];
  });
}

/** The running statistics of a head's BatchNorms, in the published order. */
export const headBuffers = (head: HeadConfig): BufferSpec[] =>
  placed(head).flatMap(({ name, layer, to }) =>
    layer.kind === 'batch-norm'
      ? [
          { name: `${name}.running_mean`, shape: [to], value: 0 },
          { name: `${name}.running_var`, shape: [to], value: 1 },
          { name: `${name}.num_batches_tracked`, shape: [], value: 0 },
        ]
      : [],
  );

/**
 * Linear with biases and ReLU between them, with a BatchNorm before each ReLU or none: the heads of MoCo v2 (arXiv 2003.04297),
 * MoBY, SwAV and DenseCL. @param widths of the outputs
 */
export function biasedLayers(
  widths: readonly number[],
  norm: Pick<ProjectorConfig, 'batch_norm_eps' | 'batch_norm_momentum'> | null,
): HeadLayer[] {
  return widths.flatMap((to, i): HeadLayer[] => {
    const linear: HeadLayer = { kind: 'linear', to, bias: true };
    if (i === widths.length - 1) return [linear];
    if (!norm) return [linear, { kind: 'relu' }];
    const { batch_norm_eps: eps, batch_norm_momentum: momentum } = norm;
    return [linear, { kind: 'batch-norm', scale: true, shift: true, eps, momentum }, { kind: 'relu' }];
  });
}

/** Linear, BatchNorm, ReLU; the last BatchNorm without scale and shift (`_build_mlp` of modeling_pretrain.py and of MoCo v3). */
export function projectorHead(from: number, projector: ProjectorConfig, name = 'projectors'): HeadConfig {
  const layers = Array.from({ length: projector.layers }, (_, l): HeadLayer[] => {
    const isLast = l === projector.layers - 1;
    const { batch_norm_eps: eps, batch_norm_momentum: momentum } = projector;
    return [
      { kind: 'linear', to: isLast ? projector.out : projector.hidden, bias: false },
      { kind: 'batch-norm', scale: !isLast, shift: !isLast, eps, momentum },
      ...(isLast ? [] : [{ kind: 'relu' } as const]),
    ];
  });
  return { name, from, layers: layers.flat() };
}
