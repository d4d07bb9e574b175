import { AppError } from '../../shared/errors.ts';
import type { HostTensor, StateDict } from '../../shared/tensors.ts';
import { plural } from '../../shared/words.ts';
import { openSource, type Replace, type Source, writeWhole } from '../files/files.ts';
import { BYTES_OF, type Dtype, isDtype, toFloat32 } from './dtype.ts';
import { type KeyFault, keyFault } from './json-keys.ts';

/**
 * The safetensors format (huggingface/safetensors): eight bytes of header length, a JSON header that gives each tensor
 * its dtype, shape and place, then the data without gaps. What the reference reader refuses is refused here.
 */

export interface SafetensorsContent {
  tensors: StateDict;
  metadata: Record<string, string>;
}

/** The reference reader's limit, bytes. */
const MAX_HEADER = 100_000_000;
/** Keys of the header, four for each tensor: models have thousands of tensors. */
const MAX_KEYS = 400_000;
/** Levels of the header: the file, a tensor, its shape. */
const MAX_DEPTH = 16;

/** A name as a message can hold it. */
const shortened = (name: string) => (name.length > 200 ? `${name.slice(0, 200)}…` : name);

interface Entry {
  name: string;
  dtype: Dtype;
  shape: number[];
  begin: number;
  end: number;
}

/**
 * All tensors as float32, in the order of the file's header, under their names.
 * @param file a path, or the file's bytes
 * @throws AppError `not-found`, or `bad-file` for anything the format does not allow
 */
export function readSafetensors(file: string | Buffer): SafetensorsContent {
  const source = openSource(file);
  try {
    const { entries, metadata, start } = readHeader(source);
    const tensors: StateDict = new Map();
    for (const { name, dtype, shape, begin, end } of entries) {
      tensors.set(name, { shape, data: readData(source, dtype, start + begin, end - begin) });
    }
    return { tensors, metadata };
  } finally {
    source.close();
  }
}

function readData(source: Source, dtype: Dtype, offset: number, length: number): Float32Array {
  if (dtype === 'F32') {
    const data = new Float32Array(length / 4);
    source.read(offset, new Uint8Array(data.buffer));
    return data;
  }
  const bytes = new Uint8Array(length);
  source.read(offset, bytes);
  return toFloat32(dtype, bytes);
}

function readHeader(source: Source): { entries: Entry[]; metadata: Record<string, string>; start: number } {
  const refuse = (why: string): never => {
    throw new AppError('bad-file', `${source.name} is not a safetensors file that can be read.`, why, NEXT);
  };
  if (source.size < 8) refuse('It is shorter than eight bytes.');
  const head = Buffer.alloc(8);
  source.read(0, head);
  const headerLength = head.readBigUInt64LE(0);
  if (headerLength > MAX_HEADER)
    refuse(`Its header would be ${headerLength} bytes; at most ${MAX_HEADER} are allowed.`);
  const start = 8 + Number(headerLength);
  if (start > source.size) refuse('Its header reaches beyond its end.');
  const bytes = Buffer.alloc(Number(headerLength));
  source.read(8, bytes);

  let text = '';
  let header: unknown;
  let fault: KeyFault | null = null;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    fault = keyFault(text, { keys: MAX_KEYS, depth: MAX_DEPTH });
    if (fault === null || typeof fault === 'object') header = JSON.parse(text);
  } catch {
    refuse('Its header is not JSON.');
  }
  if (fault === 'too many') refuse(`Its header has more than ${MAX_KEYS} keys.`);
  if (fault === 'too deep') refuse('Its header is nested too deeply.');
  if (!text.startsWith('{') || !isObject(header)) return refuse('Its header is not a JSON object.');
  if (typeof fault === 'object' && fault) refuse(`Its header names "${shortened(fault.repeated)}" twice.`);

  const metadata: Record<string, string> = {};
  const entries: Entry[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') {
      if (!isObject(value)) return refuse('Its metadata is not an object.');
      for (const [key, text] of Object.entries(value)) {
        if (typeof text !== 'string') return refuse(`Its metadata "${shortened(key)}" is not text.`);
        metadata[key] = text;
      }
      continue;
    }
    const { dtype, shape, data_offsets } = isObject(value) ? value : {};
    if (!isDtype(dtype))
      return refuse(
        `Tensor "${shortened(name)}" has dtype ${shortened(JSON.stringify(dtype) ?? 'none')}, which is not supported.`,
      );
    if (!isSizes(shape)) return refuse(`Tensor "${shortened(name)}" has no valid shape.`);
    if (!isSizes(data_offsets) || data_offsets.length !== 2)
      return refuse(`Tensor "${shortened(name)}" has no valid data_offsets.`);
    const [begin, end] = data_offsets as [number, number];
    const length = shape.reduce((a, b) => a * b, 1) * BYTES_OF[dtype];
    if (begin > end || end > source.size - start) return refuse(`Tensor "${shortened(name)}" lies outside the file.`);
    if (end - begin !== length)
      return refuse(`Tensor "${shortened(name)}" has ${plural(end - begin, 'byte')} where its shape needs ${length}.`);
    entries.push({ name, dtype, shape, begin, end });
  }

  let at = 0;
  for (const { name, begin, end } of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== at)
      refuse(`Tensor "${shortened(name)}" ${begin < at ? 'overlaps another' : 'leaves a gap before it'}.`);
    at = end;
  }
  if (at !== source.size - start)
    refuse(
      `${plural(source.size - start - at, 'byte')} at its end ${source.size - start - at === 1 ? 'belongs' : 'belong'} to no tensor.`,
    );
  return { entries, metadata, start };
}

const NEXT = 'Get the file again, or save it again with the safetensors library.';

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);

/**
 * Writes tensors as F32, sorted by name, so that equal content gives equal bytes. The file appears whole or not at all;
 * tensors are written one by one, never copied.
 * @throws AppError `bad-input` when a tensor's data does not fit its shape or the place cannot be written
 */
export function writeSafetensors(
  path: string,
  tensors: StateDict,
  metadata?: Record<string, string>,
  how?: Replace,
): void {
  const sorted = [...tensors].sort(([a], [b]) => (a < b ? -1 : 1));
  const header = Buffer.from(JSON.stringify(headerOf(sorted, metadata)));
  const padded = Buffer.alloc(Math.ceil(header.length / 8) * 8, ' ');
  header.copy(padded);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));

  const bytes = ({ data }: HostTensor) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  writeWhole(path, [length, padded, ...sorted.map(([, tensor]) => bytes(tensor))], how);
}

function headerOf(sorted: [string, HostTensor][], metadata: Record<string, string> | undefined) {
  const header: [string, unknown][] = [];
  if (metadata && Object.keys(metadata).length > 0) header.push(['__metadata__', metadata]);
  let at = 0;
  for (const [name, { shape, data }] of sorted) {
    if (name === '__metadata__') throw new AppError('bad-input', 'A tensor cannot be named "__metadata__".');
    const size = shape.reduce((a, b) => a * b, 1);
    if (size !== data.length) {
      throw new AppError(
        'bad-input',
        `Tensor "${name}" holds ${data.length} values; its shape [${shape}] needs ${size}.`,
      );
    }
    header.push([name, { dtype: 'F32', shape, data_offsets: [at, at + data.byteLength] }]);
    at += data.byteLength;
  }
  return Object.fromEntries(header);
}
