import type { HostTensor } from '../../shared/domain.ts';
import {
  ATTRIBUTE_TYPE,
  type AttributeMessage,
  DATA_TYPE,
  encodeModel,
  type NodeMessage,
  type TensorMessage,
  type ValueMessage,
} from './onnx-messages.ts';

/** Of the default operator set: the first with LayerNormalization. */
export const OPSET = 17;
/** The version of the format that came with that operator set (ONNX 1.12). */
const IR_VERSION = 8;
/** Protocol Buffers allow less than 2 GiB; nodes and names take far less than the margin. */
export const MAX_WEIGHT_BYTES = 2 ** 31 - 2 ** 24;

/** A size, or the name of one that is known only when the graph runs. */
export type Dimension = number | string;
/** Whole numbers become INT (lists INTS); a number that is to be FLOAT is written `{ float }`. */
export type Attributes = Record<string, number | number[] | { float: number }>;

/** Builds a graph node by node: every method gives the name under which later nodes take its value. */
export class OnnxGraph {
  readonly #nodes: NodeMessage[] = [];
  readonly #initializers: TensorMessage[] = [];
  readonly #inputs: ValueMessage[] = [];
  readonly #outputs: ValueMessage[] = [];

  input(name: string, shape: readonly Dimension[], words: string): string {
    this.#inputs.push(floatValue(name, shape, words));
    return name;
  }

  /** Makes a value of the graph an output, under its own name. */
  output(name: string, shape: readonly Dimension[], words: string): void {
    this.#outputs.push(floatValue(name, shape, words));
  }

  /** Weights; not copied. */
  weight(name: string, { shape, data }: HostTensor): string {
    return this.#initializer(name, shape, DATA_TYPE.float, data);
  }

  /** Whole numbers, as shapes and axes are given; a scalar where `shape` is empty. */
  int64(name: string, values: readonly number[], shape: readonly number[] = [values.length]): string {
    return this.#initializer(name, shape, DATA_TYPE.int64, BigInt64Array.from(values, BigInt));
  }

  /** Places to gather from. */
  int32(name: string, values: Int32Array, shape: readonly number[]): string {
    return this.#initializer(name, shape, DATA_TYPE.int32, values);
  }

  scalar(name: string, value: number): string {
    return this.#initializer(name, [], DATA_TYPE.float, Float32Array.of(value));
  }

  /** @param name of the node and of its value @returns the name */
  node(opType: string, name: string, input: readonly string[], attributes: Attributes = {}): string {
    const attribute = Object.entries(attributes).map(([key, value]) => attributeOf(key, value));
    this.#nodes.push({ name, opType, input: [...input], output: [name], attribute });
    return name;
  }

  /** The bytes of a .onnx file. The caller has seen to it that the weights are below `MAX_WEIGHT_BYTES`. */
  encode(about: { name: string; words: string; version: string; metadata: Record<string, string> }): Uint8Array {
    return encodeModel({
      irVersion: IR_VERSION,
      producerName: 'ConMIM Workbench',
      producerVersion: about.version,
      docString: about.words,
      opsetImport: [{ domain: '', version: OPSET }],
      metadataProps: Object.entries(about.metadata).map(([key, value]) => ({ key, value })),
      graph: {
        name: about.name,
        node: this.#nodes,
        initializer: this.#initializers,
        input: this.#inputs,
        output: this.#outputs,
      },
    });
  }

  #initializer(
    name: string,
    dims: readonly number[],
    dataType: number,
    values: Float32Array | Int32Array | BigInt64Array,
  ): string {
    const rawData = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    this.#initializers.push({ name, dims: [...dims], dataType, rawData });
    return name;
  }
}

function floatValue(name: string, shape: readonly Dimension[], docString: string): ValueMessage {
  const dim = shape.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { name, docString, type: { tensorType: { elemType: DATA_TYPE.float, shape: { dim } } } };
}

function attributeOf(name: string, value: Attributes[string]): AttributeMessage {
  if (Array.isArray(value)) return { name, type: ATTRIBUTE_TYPE.ints, ints: value };
  if (typeof value === 'object') return { name, type: ATTRIBUTE_TYPE.float, f: value.float };
  return { name, type: ATTRIBUTE_TYPE.int, i: value };
}
