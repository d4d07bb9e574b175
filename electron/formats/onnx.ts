import type { HostTensor } from '../../shared/tensors.ts';
import {
  ATTRIBUTE_TYPE,
  type AttributeMessage,
  DATA_LOCATION,
  DATA_TYPE,
  type EntryMessage,
  encodeModel,
  type NodeMessage,
  type TensorMessage,
  type ValueMessage,
} from './onnx-messages.ts';

/** Version of the default operator set: the first with LayerNormalization. */
export const OPSET = 17;
/** The version of the format that came with that operator set (ONNX 1.12). */
const IR_VERSION = 8;
/** Protocol Buffers allow less than 2 GiB; nodes and names take far less than the margin. */
export const MAX_WEIGHT_BYTES = 2 ** 31 - 2 ** 24;

/**
 * Smaller initializers stay in the graph where weights have a file of their own, as the onnx package's do: readers want
 * shapes and axes while they read the graph. Bytes.
 */
const OUTSIDE_FROM = 1024;
/** Where a tensor may begin in a file of weights: at a page, a large one where Windows too can map it. Bytes. */
const PAGE = 4096;
const [LARGE, ALLOCATION] = [2 ** 20, 2 ** 16];

/** What a model says of itself. */
export interface About {
  name: string;
  words: string;
  version: string;
  metadata: Record<string, string>;
}

/** A tensor as the builder holds it: its bytes are views of the caller's arrays. */
interface Initializer {
  name: string;
  dims: number[];
  dataType: number;
  bytes: Uint8Array;
}

/** A size, or the name of one that is known only when the graph runs. */
export type Dimension = number | string;
/** Whole numbers become INT (lists INTS); a number that is to be FLOAT is written `{ float }`. */
export type Attributes = Record<string, number | number[] | { float: number }>;

/** Builds a graph node by node: every method gives the name under which later nodes take its value. */
export class OnnxGraph {
  readonly #nodes: NodeMessage[] = [];
  readonly #initializers: Initializer[] = [];
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
  encode(about: About): Uint8Array {
    return this.#encode(
      about,
      this.#initializers.map(({ bytes, ...tensor }) => ({ ...tensor, rawData: bytes })),
    );
  }

  /**
   * The bytes of a .onnx file whose weights are in another one, for which there is no limit.
   * @param location the other file's name; readers look for it in the folder of the .onnx file
   * @returns with `data`, the other file's content chunk by chunk; weights are not copied
   */
  encodeOutside(about: About, location: string): { model: Uint8Array; data: Iterable<Uint8Array> } {
    const data: Uint8Array[] = [];
    let at = 0;
    const initializers = this.#initializers.map(({ bytes, ...tensor }): TensorMessage => {
      const length = bytes.byteLength;
      if (length < OUTSIDE_FROM) return { ...tensor, rawData: bytes };
      const step = length < LARGE ? PAGE : ALLOCATION;
      const offset = Math.ceil(at / step) * step;
      if (offset > at) data.push(new Uint8Array(offset - at));
      data.push(bytes);
      at = offset + length;
      const externalData = entries({ location, offset: String(offset), length: String(length) });
      return { ...tensor, dataLocation: DATA_LOCATION.external, externalData };
    });
    return { model: this.#encode(about, initializers), data };
  }

  #encode(about: About, initializer: TensorMessage[]): Uint8Array {
    return encodeModel({
      irVersion: IR_VERSION,
      producerName: 'ConMIM Workbench',
      producerVersion: about.version,
      docString: about.words,
      opsetImport: [{ domain: '', version: OPSET }],
      metadataProps: entries(about.metadata),
      graph: {
        name: about.name,
        node: this.#nodes,
        initializer,
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
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    this.#initializers.push({ name, dims: [...dims], dataType, bytes });
    return name;
  }
}

const entries = (values: Record<string, string>): EntryMessage[] =>
  Object.entries(values).map(([key, value]) => ({ key, value }));

function floatValue(name: string, shape: readonly Dimension[], docString: string): ValueMessage {
  const dim = shape.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { name, docString, type: { tensorType: { elemType: DATA_TYPE.float, shape: { dim } } } };
}

function attributeOf(name: string, value: Attributes[string]): AttributeMessage {
  if (Array.isArray(value)) return { name, type: ATTRIBUTE_TYPE.ints, ints: value };
  if (typeof value === 'object') return { name, type: ATTRIBUTE_TYPE.float, f: value.float };
  return { name, type: ATTRIBUTE_TYPE.int, i: value };
}
