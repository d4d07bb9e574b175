import protobuf from 'protobufjs/light.js';

const BYTES = { id: 9, type: 'bytes' };
const list = (id: number, type: string) => ({ id, type, rule: 'repeated' });
const one = (id: number, type: string) => ({ id, type });

/**
 * The messages of ONNX that a graph with weights in it needs, and of each the fields that are written here; names and
 * numbers are those of onnx/onnx.proto (Apache License 2.0, github.com/onnx/onnx). Readers know fields by number, so a
 * part of the definition writes what the whole one would.
 */
const root = protobuf.Root.fromJSON({
  nested: {
    StringStringEntryProto: { fields: { key: one(1, 'string'), value: one(2, 'string') } },
    OperatorSetIdProto: { fields: { domain: one(1, 'string'), version: one(2, 'int64') } },
    TensorProto: {
      fields: {
        dims: list(1, 'int64'),
        dataType: one(2, 'int32'),
        name: one(8, 'string'),
        rawData: BYTES,
        externalData: list(13, 'StringStringEntryProto'),
        dataLocation: one(14, 'int32'),
      },
    },
    AttributeProto: {
      fields: {
        name: one(1, 'string'),
        f: one(2, 'float'),
        i: one(3, 'int64'),

        ints: list(8, 'int64'),
        type: one(20, 'int32'),
      },
    },
    NodeProto: {
      fields: {
        input: list(1, 'string'),
        output: list(2, 'string'),
        name: one(3, 'string'),
        opType: one(4, 'string'),
        attribute: list(5, 'AttributeProto'),
      },
    },
    Dimension: {
      oneofs: { value: { oneof: ['dimValue', 'dimParam'] } },
      fields: { dimValue: one(1, 'int64'), dimParam: one(2, 'string') },
    },
    TensorShapeProto: { fields: { dim: list(1, 'Dimension') } },
    TensorType: { fields: { elemType: one(1, 'int32'), shape: one(2, 'TensorShapeProto') } },
    TypeProto: { fields: { tensorType: one(1, 'TensorType') } },
    ValueInfoProto: { fields: { name: one(1, 'string'), type: one(2, 'TypeProto'), docString: one(3, 'string') } },
    GraphProto: {
      fields: {
        node: list(1, 'NodeProto'),
        name: one(2, 'string'),
        initializer: list(5, 'TensorProto'),
        input: list(11, 'ValueInfoProto'),
        output: list(12, 'ValueInfoProto'),
      },
    },
    ModelProto: {
      fields: {
        irVersion: one(1, 'int64'),
        producerName: one(2, 'string'),
        producerVersion: one(3, 'string'),
        docString: one(6, 'string'),
        graph: one(7, 'GraphProto'),
        opsetImport: list(8, 'OperatorSetIdProto'),
        metadataProps: list(14, 'StringStringEntryProto'),
      },
    },
  },
});

/** TensorProto.DataType */
export const DATA_TYPE = { float: 1, int32: 6, int64: 7 } as const;
/** TensorProto.DataLocation; what says nothing is in the message itself. */
export const DATA_LOCATION = { external: 1 } as const;
/** AttributeProto.AttributeType */
export const ATTRIBUTE_TYPE = { float: 1, int: 2, ints: 7 } as const;

export interface TensorMessage {
  name: string;
  dims: number[];
  dataType: number;
  /** Little-endian, row-major. Left out where the values are in a file of their own. */
  rawData?: Uint8Array;
  /** `location`, `offset` and `length` (bytes) of values in a file of their own. */
  externalData?: EntryMessage[];
  dataLocation?: number;
}
export interface EntryMessage {
  key: string;
  value: string;
}
export interface AttributeMessage {
  name: string;
  type: number;
  f?: number;
  i?: number;
  ints?: number[];
}
export interface NodeMessage {
  name: string;
  opType: string;
  input: string[];
  output: string[];
  attribute: AttributeMessage[];
}
export interface ValueMessage {
  name: string;
  docString: string;
  type: { tensorType: { elemType: number; shape: { dim: ({ dimValue: number } | { dimParam: string })[] } } };
}
export interface ModelMessage {
  irVersion: number;
  producerName: string;
  producerVersion: string;
  docString: string;
  opsetImport: { domain: string; version: number }[];
  metadataProps: EntryMessage[];
  graph: {
    name: string;
    node: NodeMessage[];
    initializer: TensorMessage[];
    input: ValueMessage[];
    output: ValueMessage[];
  };
}

/** A model as the bytes of a .onnx file. Weights are copied once. */
export const encodeModel = (model: ModelMessage): Uint8Array => root.lookupType('ModelProto').encode(model).finish();
