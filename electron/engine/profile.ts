import * as tf from '@tensorflow/tfjs-core';
import { type Attribute, isTensorFlow } from './kernels/device.ts';

/** An operation of TensorFlow in a profile. */
export interface ProfiledOperation {
  name: string;
  calls: number;
  ms: number;
}

/** An operation as TensorFlow is asked for it. */
interface Asked {
  name: string;
  attributes: readonly Attribute[];
  /** Of its inputs. */
  shapes: readonly (readonly number[])[];
}

type Execute = (name: string, attributes: Attribute[], ...rest: unknown[]) => unknown;
interface Backend {
  binding: { executeOp: Execute };
  getInputTensorIds(inputs: readonly tf.Tensor[]): number[];
}

/**
 * Does `act`, in which every operation goes by `watch`, which carries it out by `run`.
 * @returns whether there was anything to watch: not without TensorFlow, where `act` is not done
 */
function watching(watch: (asked: Asked, run: () => unknown) => unknown, act: () => void): boolean {
  if (!isTensorFlow()) return false;
  const backend = tf.backend() as unknown as Backend;
  const { binding } = backend;
  let shapes: readonly (readonly number[])[] = [];
  const executeOp: Execute = (name, attributes, ...rest) =>
    watch({ name, attributes, shapes }, () => binding.executeOp(name, attributes, ...rest));
  // Asked right before each operation, whoever asks for it: the binding itself sees numbers of tensors alone.
  backend.getInputTensorIds = (inputs) => {
    shapes = inputs.map(({ shape }) => shape);
    return (Object.getPrototypeOf(backend) as Backend).getInputTensorIds.call(backend, inputs);
  };
  // The binding itself cannot be changed.
  backend.binding = Object.create(binding, { executeOp: { value: executeOp } });
  try {
    act();
  } finally {
    backend.binding = binding;
    delete (backend as Partial<Backend>).getInputTensorIds;
  }
  return true;
}

/**
 * Which operations the time of `act` went to. Each is timed where TensorFlow runs it: on a CPU that is its whole time, on
 * a GPU only its launch.
 * @returns operations by falling time, and all of the time with what was spent between them; null without TensorFlow
 */
export function profileOperations(act: () => void): { total_ms: number; operations: ProfiledOperation[] } | null {
  const found = new Map<string, ProfiledOperation>();
  const began = performance.now();
  const isDone = watching(({ name }, run) => {
    const before = performance.now();
    try {
      return run();
    } finally {
      const one = found.get(name) ?? { name, calls: 0, ms: 0 };
      one.calls++;
      one.ms += performance.now() - before;
      found.set(name, one);
    }
  }, act);
  if (!isDone) return null;
  return { total_ms: performance.now() - began, operations: [...found.values()].sort((a, b) => b.ms - a.ms) };
}

/**
 * Floating-point operations of the products of matrices in `act`, a multiplication and an addition counting two: those of
 * linear layers, attention, and losses, by the shapes that TensorFlow is given. What is done element by element does not
 * count, as is usual.
 * @returns null without TensorFlow, where `act` is not done
 */
export function countProducts(act: () => void): number | null {
  let sum = 0;
  const isDone = watching((asked, run) => {
    sum += productsOf(asked);
    return run();
  }, act);
  return isDone ? sum : null;
}

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

function productsOf({ name, attributes, shapes }: Asked): number {
  const set = (...names: string[]) => attributes.some((one) => names.includes(one.name) && one.value === true);
  const [a, b] = shapes as [readonly number[], readonly number[]];
  switch (name) {
    case 'MatMul':
    case '_FusedMatMul':
    case 'BatchMatMulV2':
    case 'ConmimMatMul': {
      const [rows, inner] = set('transpose_a', 'adj_x') ? [a.at(-1)!, a.at(-2)!] : [a.at(-2)!, a.at(-1)!];
      const columns = set('transpose_b', 'adj_y') ? b.at(-2)! : b.at(-1)!;
      const stack = Math.max(sizeOf(a.slice(0, -2)), sizeOf(b.slice(0, -2)));
      return 2 * stack * rows * inner * columns;
    }
    // Two products of the size of queries by keys: logits, and values by probabilities; backwards five, the logits again.
    case 'ConmimAttention':
    case 'ConmimAttentionGrad': {
      const tokens = Number(attributes.find((one) => one.name === 'tokens')!.value);
      return 2 * (name === 'ConmimAttention' ? 2 : 5) * a[0]! * tokens * (a[1]! / 3);
    }
    case 'Conv2D': // NHWC by [height, width, in, out], with stride and padding of a patch embedding at most
      return 2 * sizeOf(b) * Math.ceil(a[0]! * (sizeOf(a.slice(1, 3)) / sizeOf(b.slice(0, 2))));
    default:
      return 0;
  }
}
