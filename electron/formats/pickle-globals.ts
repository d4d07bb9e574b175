import { AppError } from '../../shared/errors.ts';
import type { Dtype } from './dtype.ts';

/** A value that a pickle may hold here. */
export type Pickled =
  | null
  | boolean
  | number
  | string
  | Pickled[]
  | Map<Pickled, Pickled>
  | Set<Pickled>
  | Inert
  | Storage
  | Tensor
  | Global;

/** Stands for an object whose content is not needed, such as the attributes of an OrderedDict: only its type is kept. */
export class Inert {
  readonly of: string;

  constructor(of: string) {
    this.of = of;
  }
}

/** Numbers in an entry of the archive, not read yet. */
export class Storage {
  readonly dtype: Dtype;
  /** Name of the entry, below `data/`. */
  readonly key: string;
  readonly count: number;

  constructor(dtype: Dtype, key: string, count: number) {
    this.dtype = dtype;
    this.key = key;
    this.count = count;
  }
}

/** A view of a storage; offset and strides in elements, within its bounds. */
export class Tensor {
  readonly storage: Storage;
  readonly offset: number;
  readonly shape: number[];
  readonly strides: number[];

  constructor(storage: Storage, offset: number, shape: number[], strides: number[]) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

/** A Python name that a pickle may refer to: a function, by what calling it gives, or a type of storage. */
export class Global {
  readonly name: string;
  readonly dtype: Dtype | null;
  readonly call: ((args: Pickled[]) => Pickled) | null;

  constructor(name: string, is: { dtype?: Dtype; call?: (args: Pickled[]) => Pickled }) {
    this.name = name;
    this.dtype = is.dtype ?? null;
    this.call = is.call ?? null;
  }
}

const STORAGES: Record<string, Dtype> = {
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  DoubleStorage: 'F64',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
};

/** All Python names that a pickle may refer to. Those of numpy hold learning rates in published optimizer states. */
export const GLOBALS: ReadonlyMap<string, Global> = new Map(
  [
    ...Object.entries(STORAGES).map(([name, dtype]) => new Global(`torch.${name}`, { dtype })),
    new Global('collections.OrderedDict', { call: orderedDict }),
    new Global('torch.Size', { call: ([sizes]) => (Array.isArray(sizes) ? sizes : refuse('torch.Size')) }),
    new Global('torch._utils._rebuild_tensor_v2', { call: rebuildTensor }),
    new Global('torch._utils._rebuild_parameter', {
      call: ([tensor]) => (tensor instanceof Tensor ? tensor : refuse('torch._utils._rebuild_parameter')),
    }),
    ...[
      'argparse.Namespace',
      'numpy.core.multiarray.scalar',
      'numpy._core.multiarray.scalar',
      'numpy.dtype',
      '_codecs.encode',
    ].map((name) => new Global(name, { call: () => new Inert(name) })),
  ].map((global) => [global.name, global]),
);

/** What `callable(*args)` stands for. */
export function reduce(callable: Pickled, args: Pickled): Pickled {
  if (!(callable instanceof Global) || !callable.call || !Array.isArray(args)) return refuse('a call');
  return callable.call(args);
}

/** What a persistent id stands for: ('storage', type, key, device, count). */
export function storageOf(id: Pickled): Storage {
  const [word, type, key, , count] = Array.isArray(id) ? id : [];
  if (word !== 'storage' || !(type instanceof Global) || type.dtype === null) return refuse('a storage');
  if (typeof key !== 'string' || !isSize(count)) return refuse('a storage');
  return new Storage(type.dtype, key, count);
}

function orderedDict([pairs = []]: Pickled[]): Pickled {
  if (!Array.isArray(pairs)) return refuse('collections.OrderedDict');
  return new Map(
    pairs.map((pair) =>
      Array.isArray(pair) && pair.length === 2 ? [pair[0]!, pair[1]!] : refuse('collections.OrderedDict'),
    ),
  );
}

function rebuildTensor([storage, offset, shape, strides]: Pickled[]): Tensor {
  const what = 'torch._utils._rebuild_tensor_v2';
  if (!(storage instanceof Storage) || !isSize(offset) || !areSizes(shape) || !areSizes(strides)) return refuse(what);
  if (shape.length !== strides.length || shape.length > 16) return refuse(what);
  const count = shape.reduce((a, b) => a * b, 1);
  const last = shape.reduce((sum, size, i) => sum + (size - 1) * strides[i]!, offset);
  // More elements than the storage has would be an expanded view; a few bytes could then ask for all memory.
  if (count > storage.count || (count > 0 && last >= storage.count)) return refuse(`${what} beyond its storage`);
  // Copies: the pickle may go on changing its lists.
  return new Tensor(storage, offset, [...shape], [...strides]);
}

const isSize = (value: Pickled | undefined): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const areSizes = (value: Pickled | undefined): value is number[] => Array.isArray(value) && value.every(isSize);

function refuse(what: string): never {
  throw new AppError(
    'bad-file',
    'The pickle in the file was refused.',
    `What is not sound in it: ${what}.`,
    'Get the file again.',
  );
}
