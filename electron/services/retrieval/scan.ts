import { readFile } from 'node:fs/promises';
import { AppError } from '../../../shared/errors.ts';
import { builtPath } from '../../files/built.ts';

const PAGE = 65_536;
/** Bytes of codes that are scanned at a time: they stay in the processor's cache between the copy and the scan. */
const CODES = 1 << 20;
const QUERY_MOST = 2047;

/** Of scan.wat: dot products of a query with `n` codes. All but `n` and `width` are addresses, in bytes. */
type Scan = (query: number, codes: number, n: number, width: number, out: number) => void;
interface Exports {
  memory: WebAssembly.Memory;
  scan: Scan;
}

let compiled: Promise<WebAssembly.Module> | undefined;
const compile = async () => {
  const path = builtPath('scan.wasm');
  if (!path)
    throw new AppError(
      'internal',
      'Indexes cannot be searched.',
      'scan.wasm, which the set-up compiles, is not there.',
      'Run `npm run setup`.',
    );
  return WebAssembly.compile(await readFile(path));
};

/** Values of a code or query: the width, filled up with zeros to a whole number of SIMD registers. */
export const paddedWidth = (width: number): number => Math.ceil(width / 16) * 16;

/** Scans blocks of codes for one query at a time. */
export class Scanner {
  /** Rows that fit into `codes`. */
  readonly rows: number;
  readonly #width: number;
  readonly #codes: Uint8Array;
  readonly #query: Int16Array;
  readonly #dots: Int32Array;
  readonly #scan: Scan;
  #unit = 1;

  private constructor({ memory, scan }: Exports, width: number) {
    this.#width = paddedWidth(width);
    this.rows = Math.max(1, Math.floor(CODES / this.#width));
    const out = 2 * this.#width;
    const codes = out + 4 * this.rows;
    const at = Math.ceil(codes / 16) * 16;
    memory.grow(Math.ceil((at + this.rows * this.#width) / PAGE));
    this.#query = new Int16Array(memory.buffer, 0, this.#width);
    this.#dots = new Int32Array(memory.buffer, out, this.rows);
    this.#codes = new Uint8Array(memory.buffer, at, this.rows * this.#width);
    this.#scan = scan;
  }

  static async make(width: number): Promise<Scanner> {
    compiled ??= compile();
    const instance = await WebAssembly.instantiate(await compiled);
    return new Scanner(instance.exports as unknown as Exports, width);
  }

  /** @param query `[width]` */
  setQuery(query: Float32Array): void {
    const most = query.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1;
    this.#unit = most / QUERY_MOST;
    this.#query.fill(0);
    query.forEach((value, i) => {
      this.#query[i] = Math.round(value / this.#unit);
    });
  }

  /** Where the codes of `n` rows are to be written before `dots`. */
  room(n: number): Uint8Array {
    return this.#codes.subarray(0, n * this.#width);
  }

  /** Dot products of the query with the `n` codes in `room`, in units of `unit` and of each code's scale. */
  dots(n: number): Int32Array {
    this.#scan(0, this.#codes.byteOffset, n, this.#width, this.#dots.byteOffset);
    return this.#dots.subarray(0, n);
  }

  /** What one of a dot product is worth, before the code's scale. */
  get unit(): number {
    return this.#unit;
  }
}

/** Eight bits a value, with one scale for the vector: a scale for all loses points of recall. @returns the scale */
export function quantise(vector: ArrayLike<number>, into: Int8Array): number {
  let most = 0;
  for (let i = 0; i < vector.length; i++) most = Math.max(most, Math.abs(vector[i]!));
  const scale = most / 127 || 1;
  for (let i = 0; i < vector.length; i++) into[i] = Math.round(vector[i]! / scale);
  return scale;
}
