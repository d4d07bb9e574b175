import type { Uniform } from '../../shared/random.ts';

/** How a parameter starts. */
export type Init =
  | { kind: 'constant'; value: number }
  | { kind: 'truncated-normal'; std: number; divideBy: number }
  | { kind: 'normal'; std: number }
  /** Between -limit and limit. */
  | { kind: 'uniform'; limit: number };

/** As PyTorch starts a linear layer or a convolution, and its bias. @param from values that each output is made of */
export const torchStart = (from: number): Init => ({ kind: 'uniform', limit: 1 / Math.sqrt(from) });

export interface ParameterSpec {
  /** The published name; the tensor has the published (PyTorch) layout. */
  name: string;
  shape: number[];
  /** Whether weight decay applies (`get_parameter_groups` of optim_factory.py). */
  decay: boolean;
  init: Init;
  /**
   * Updates for which it stays as it is: no gradient changes it, no decay, and what an optimizer keeps of it begins
   * afterwards. Infinity for one that is never trained. A moving average follows it all the same.
   */
  frozenFor?: number;
}

/** These parameters, of which those that `is` picks stay as they start. */
export const freeze = (specs: readonly ParameterSpec[], is: (name: string) => boolean): ParameterSpec[] =>
  specs.map((spec) => (is(spec.name) ? { ...spec, frozenFor: Number.POSITIVE_INFINITY } : spec));

/** State of a network that no gradient reaches: running statistics of a BatchNorm, fixed positions. */
export interface BufferSpec {
  name: string;
  shape: number[];
  /** What it starts as: one number everywhere, or all values, row-major, from draws of its own where it needs them. */
  value: number | ((random: Uniform) => Float32Array);
}
