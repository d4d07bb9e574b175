import * as tf from '@tensorflow/tfjs-core';
import {
  bool,
  compiledKernel,
  execute,
  isCompiled,
  isTensorFlow,
  type Storage,
  storageOf,
  store,
  type,
} from './device.ts';

let widens = false;
/**
 * Says that the processor has no 16-bit products of its own. TensorFlow's are then many times slower than those of
 * floats; operands are made floats, and the product is rounded once: what a processor that has them computes.
 */
export function widenProducts(widen: boolean): void {
  widens = widen;
}

let own = false;
/**
 * Says that compiled products of floats are faster than TensorFlow's: where the processor has tiles. Elsewhere oneDNN's are,
 * by a tenth (docs/benchmarks.md). Those of 16 bits, and of stacks of small matrices, always are.
 */
export function multiplyFloats(yes: boolean): void {
  own = yes;
}

export interface ProductOptions {
  /** Whether the last two axes of an operand are exchanged first. */
  transposeA?: boolean;
  transposeB?: boolean;
  /** Of the product; left out, that of `a`. */
  storage?: Storage | undefined;
}

/**
 * A product of matrices, or of as many in two stacks. Where an operand is of 16 bits, so is what the other is rounded
 * to; sums are of floats.
 * @param a `[…, m, k]` @param b `[…, k, n]`, or each with its last two axes exchanged
 * @returns `[…, m, n]`
 */
export function matMul<T extends tf.Tensor>(a: T, b: T, options: ProductOptions = {}): T {
  const { transposeA = false, transposeB = false, storage = storageOf(a) } = options;
  const [ofA, ofB] = [storageOf(a), storageOf(b)];
  const isOurs = own || [ofA, ofB].includes('bf16');
  if (!isOurs || ![ofA, ofB, storage].every(isCompiled)) return matMulPlain(a, b, options);
  const transposed = [bool('transpose_a', transposeA), bool('transpose_b', transposeB)];
  const attributes = [type('Ta', ofA), type('Tb', ofB), ...transposed];
  return compiledKernel('MatMul', storage, attributes, [a, b], 1)[0] as T;
}

/** The same by TensorFlow's operations, whose operands and product are of one storage. */
export function matMulPlain<T extends tf.Tensor>(a: T, b: T, options: ProductOptions = {}): T {
  const { transposeA = false, transposeB = false, storage = storageOf(a) } = options;
  if (!isTensorFlow()) return tf.matMul(a, b, transposeA, transposeB);
  const common = [a, b].map(storageOf).find((of) => of !== 'fp32') ?? 'fp32';
  const by = widens ? 'fp32' : common;
  const t = type('T', by);
  return tf.tidy(() => {
    const operands = [a, b].map((x) => store(store(x, common), by));
    const [product] =
      a.rank === 2
        ? execute('MatMul', [t, bool('transpose_a', transposeA), bool('transpose_b', transposeB)], operands)
        : execute('BatchMatMulV2', [t, bool('adj_x', transposeA), bool('adj_y', transposeB)], operands);
    return store(product as T, storage);
  });
}

/** Another shape of the same values, of any storage. */
export function reshape<T extends tf.Tensor>(x: tf.Tensor, shape: number[]): T {
  const storage = storageOf(x);
  if (storage === 'fp32') return tf.reshape(x, shape) as T;
  return withIntegers(shape, (to) => execute('Reshape', [type('T', storage), INT32('Tshape')], [x, to])[0] as T);
}

/** Exchanges axes of a tensor of any storage. */
export function transpose(x: tf.Tensor, axes: number[]): tf.Tensor {
  const storage = storageOf(x);
  if (storage === 'fp32') return tf.transpose(x, axes);
  return withIntegers(axes, (to) => execute('Transpose', [type('T', storage), INT32('Tperm')], [x, to])[0]!);
}

/** TensorFlow's type of 32-bit integers as an attribute. */
const INT32 = (name: string) => ({ ...type(name, 'fp32'), value: 3 });

function withIntegers<T>(values: number[], act: (tensor: tf.Tensor1D) => T): T {
  const tensor = tf.tensor1d(values, 'int32');
  try {
    return act(tensor);
  } finally {
    tensor.dispose();
  }
}
