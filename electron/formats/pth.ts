import { AppError } from '../../shared/errors.ts';
import type { HostTensor, StateDict } from '../../shared/tensors.ts';
import { openSource, type Source } from '../files/files.ts';
import { BYTES_OF, toFloat32 } from './dtype.ts';
import { parsePickle } from './pickle.ts';
import { type Pickled, Tensor } from './pickle-globals.ts';
import { readDirectory, type StoredEntry } from './stored-zip.ts';

export interface PthContent {
  /** As float32, contiguous, in the file's order. */
  tensors: StateDict;
  /** Keys of the file's dict under which the tensors were; none where the dict itself is of tensors. */
  keys: readonly string[];
  /** Names of what was there and is no tensor of the state: optimizer, arguments, counters. */
  ignored: string[];
}

/** Keys of a file's dict whose tensors are read together: of several, each name has its key and a dot in front. */
export type StateKeys = readonly string[];
/** Where files keep their weights, in order of preference. */
const STATE_KEYS: readonly StateKeys[] = [['model'], ['state_dict'], ['module']];
/** That of a model with thousands of tensors is below a megabyte, with its optimizer's below ten. */
const MAX_PICKLE = 64 * 2 ** 20;

/**
 * Weights of a file that torch.save (PyTorch 1.6 or later) wrote. Nothing in it is executed.
 * @param first where else they may be, looked at before the usual keys: the first of which the file has all
 * @throws AppError `not-found`; `bad-file` for what is damaged, older, or asks for anything but tensors and containers
 */
export async function readPth(path: string, first: readonly StateKeys[] = []): Promise<PthContent> {
  const source = openSource(path);
  try {
    requireZip(source);
    const entries = await readDirectory(source);
    const pickles = [...entries.keys()].filter((name) => /^([^/]+\/)?data\.pkl$/.test(name));
    if (pickles.length !== 1) return refuse(path, 'It has no data.pkl, so torch.save did not write it.');
    const folder = pickles[0]!.slice(0, -'data.pkl'.length);
    if (readText(entries.get(`${folder}byteorder`)) === 'big') return refuse(path, 'Its numbers are big-endian.');
    const pickle = entries.get(pickles[0]!)!;
    if (pickle.size > MAX_PICKLE) return refuse(path, 'Its pickle is too large.');
    const root = parsePickle(readWhole(pickle));

    const { dict, keys, ignored } = findState(path, root, [...first, ...STATE_KEYS]);
    const tensors: StateDict = new Map();
    let bytes = 0;
    for (const [name, value] of dict) {
      if (typeof name !== 'string') return refuse(path, 'It has a tensor whose name is not text.');
      if (!(value instanceof Tensor)) {
        ignored.push(name);
        continue;
      }
      // Names may share a storage; many could, and so ask for far more memory than the file is large.
      bytes += 4 * value.shape.reduce((a, b) => a * b, 1);
      if (bytes > 8 * source.size) return refuse(path, 'Its tensors are far larger than the file.');
      const entry = entries.get(`${folder}data/${value.storage.key}`);
      if (entry?.size !== value.storage.count * BYTES_OF[value.storage.dtype]) {
        return refuse(path, `The numbers of "${name}" are missing or of another length.`);
      }
      tensors.set(name, readTensor(entry, value));
    }
    return { tensors, keys, ignored };
  } finally {
    source.close();
  }
}

/** A key that is no text may be anything, nested at will. */
const nameOf = (key: Pickled): string =>
  typeof key === 'string' || typeof key === 'number' ? String(key) : `a key of ${typeof key}`;

function requireZip(source: Source): void {
  const magic = Buffer.alloc(Math.min(4, source.size));
  source.read(0, magic);
  if (magic.equals(Buffer.from('PK\x03\x04'))) return;
  if (magic[0] === 0x80) {
    throw new AppError(
      'bad-file',
      `${source.name} is in the format of PyTorch before 1.6, which is not read.`,
      '',
      'Save it again with a current PyTorch: `torch.save(torch.load(FILE, map_location="cpu"), NEW_FILE)`.',
    );
  }
  refuse(source.name, 'It is not an archive that torch.save wrote.');
}

function findState(
  path: string,
  root: Pickled,
  places: readonly StateKeys[],
): { dict: Map<Pickled, Pickled>; keys: StateKeys; ignored: string[] } {
  if (root instanceof Map) {
    const dicts = new Map([...root].flatMap(([key, value]) => (isState(value) ? [[key, value] as const] : [])));
    const keys = places.find((place) => place.every((key) => dicts.has(key)));
    if (keys) {
      const found = keys.flatMap((key) =>
        [...dicts.get(key)!].map(([name, value]): [Pickled, Pickled] => [
          keys.length > 1 && typeof name === 'string' ? `${key}.${name}` : name,
          value,
        ]),
      );
      const ignored = [...root.keys()].filter((key) => !keys.some((one) => one === key)).map(nameOf);
      return { dict: new Map(found), keys, ignored };
    }
    if (isState(root)) return { dict: root, keys: [], ignored: [] };
  }
  const usual = STATE_KEYS.flat().map((key) => `"${key}"`);
  return refuse(path, `It has no dict of tensors, neither under ${usual.join(', ')} nor by itself.`);
}

const isState = (value: Pickled): value is Map<Pickled, Pickled> =>
  value instanceof Map && [...value.values()].some((one) => one instanceof Tensor);

function readTensor(entry: StoredEntry, { storage, offset, shape, strides }: Tensor): HostTensor {
  const count = shape.reduce((a, b) => a * b, 1);
  if (count === 0) return { shape, data: new Float32Array(0) };
  const span = 1 + shape.reduce((sum, size, i) => sum + (size - 1) * strides[i]!, 0);
  const bytes = new Uint8Array(span * BYTES_OF[storage.dtype]);
  entry.read(offset * BYTES_OF[storage.dtype], bytes);
  const values = storage.dtype === 'F32' ? new Float32Array(bytes.buffer) : toFloat32(storage.dtype, bytes);
  return { shape, data: isContiguous(shape, strides) ? values : gather(values, shape, strides) };
}

function isContiguous(shape: number[], strides: number[]): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== expected) return false;
    expected *= shape[i]!;
  }
  return true;
}

/** Elements of a strided view, row by row. */
function gather(values: Float32Array, shape: number[], strides: number[]): Float32Array {
  const out = new Float32Array(shape.reduce((a, b) => a * b, 1));
  const index = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < out.length; to++) {
    out[to] = values[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}

const readText = (entry: StoredEntry | undefined) => (entry && entry.size < 100 ? readWhole(entry).toString() : '');

function readWhole(entry: StoredEntry): Buffer {
  const bytes = Buffer.alloc(entry.size);
  entry.read(0, bytes);
  return bytes;
}

function refuse(path: string, why: string): never {
  throw new AppError(
    'bad-file',
    `${path} cannot be read as PyTorch weights.`,
    why,
    'Use a file that torch.save wrote, with weights in it.',
  );
}
