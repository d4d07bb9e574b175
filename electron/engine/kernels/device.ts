import * as tf from '@tensorflow/tfjs-core';

/**
 * How matrices are stored for products: 32-bit floats, or 16 bits with statistics, softmax, sums, weights and optimizer
 * still in 32 (mixed precision, arXiv 1710.03740).
 */
export type Storage = 'fp32' | 'bf16' | 'fp16';

/** TensorFlow's numbers of types (types.proto). */
const TYPES: Record<Storage, number> = { fp32: 1, bf16: 14, fp16: 19 };
const STORAGES = new Map(Object.entries(TYPES).map(([name, type]) => [type, name as Storage]));

export interface Attribute {
  name: string;
  type: number;
  value: number | boolean;
}

/** What of TensorFlow.js's Node backend is used beside its kernels. */
interface TensorFlow {
  binding: {
    executeOp(name: string, attributes: Attribute[], ids: number[], outputs: number): Metadata[];
    TF_ATTR_TYPE: number;
    TF_ATTR_INT: number;
    TF_ATTR_FLOAT: number;
    TF_ATTR_BOOL: number;
  };
  tensorMap: {
    get(id: object): { dtype: number };
    set(id: object, info: object): void;
  };
  getInputTensorIds(inputs: readonly tf.Tensor[]): number[];
  createOutputTensor(metadata: Metadata): tf.Tensor;
}
interface Metadata {
  id: number;
  shape: number[];
  dtype: number;
}

export const isTensorFlow = () => tf.getBackend() === 'tensorflow';
const tensorflow = () => tf.backend() as unknown as TensorFlow;

let compiled = false;
/** Says that the compiled kernels (tools/native/kernels) are loaded, or, for tests, that they are not to be used. */
export function useCompiledKernels(use: boolean): void {
  compiled = use;
}
/** Whether the compiled kernels do this: on TensorFlow's CPU, for floats and bfloat16. */
export const isCompiled = (storage: Storage = 'fp32') => compiled && storage !== 'fp16' && isTensorFlow();

export const int = (name: string, value: number): Attribute => attribute(name, 'TF_ATTR_INT', value);
export const float = (name: string, value: number): Attribute => attribute(name, 'TF_ATTR_FLOAT', value);
export const bool = (name: string, value: boolean): Attribute => attribute(name, 'TF_ATTR_BOOL', value);
export const type = (name: string, storage: Storage): Attribute => attribute(name, 'TF_ATTR_TYPE', TYPES[storage]);

function attribute(
  name: string,
  kind: 'TF_ATTR_INT' | 'TF_ATTR_FLOAT' | 'TF_ATTR_BOOL' | 'TF_ATTR_TYPE',
  value: number | boolean,
): Attribute {
  return { name, type: tensorflow().binding[kind], value };
}

/**
 * Runs an operation of TensorFlow. TensorFlow.js knows no 16-bit types: such an output looks like a tensor of floats to
 * it, can be kept and disposed of, and is refused by TensorFlow wherever a float is meant. `storageOf` tells them apart.
 */
export function execute(
  operation: string,
  attributes: Attribute[],
  inputs: readonly tf.Tensor[],
  outputs = 1,
): tf.Tensor[] {
  const backend = tensorflow();
  return backend.binding
    .executeOp(operation, attributes, backend.getInputTensorIds(inputs), outputs)
    .map((metadata) => {
      const { id, shape, dtype } = metadata;
      if (dtype !== TYPES.bf16 && dtype !== TYPES.fp16) return backend.createOutputTensor(metadata);
      const dataId = {};
      backend.tensorMap.set(dataId, { shape, dtype, id, values: null, refCount: 1 });
      return tf.engine().makeTensorFromTensorInfo({ dataId, shape, dtype: 'float32' });
    });
}

export function storageOf(tensor: tf.Tensor): Storage {
  if (!isTensorFlow()) return 'fp32';
  return STORAGES.get(tensorflow().tensorMap.get(tensor.dataId).dtype) ?? 'fp32';
}

/** The tensor in another storage. The caller owns it, also where nothing had to be done. */
export function store<T extends tf.Tensor>(tensor: T, storage: Storage): T {
  const from = storageOf(tensor);
  if (from === storage) return tensor.clone() as T;
  return execute('Cast', [type('SrcT', from), type('DstT', storage), bool('Truncate', false)], [tensor])[0] as T;
}

/** As floats; within a tidy. */
export const floats = <T extends tf.Tensor>(tensor: T): T => store(tensor, 'fp32');

/**
 * A compiled kernel. `optional` inputs may be null.
 * @param storage of the inputs and outputs that may be of 16 bits; null for a kernel of floats alone
 */
export function compiledKernel(
  name: string,
  storage: Storage | null,
  attributes: Attribute[],
  inputs: readonly (tf.Tensor | null | undefined)[],
  outputs: number,
): tf.Tensor[] {
  const given = inputs.map((input) => input ?? tf.zeros([0]));
  const all = storage ? [type('T', storage), ...attributes] : attributes;
  const found = execute(`Conmim${name}`, all, given, outputs);
  given.forEach((tensor, i) => {
    if (!inputs[i]) tensor.dispose();
  });
  return found;
}
