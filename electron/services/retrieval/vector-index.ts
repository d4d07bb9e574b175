import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Recall } from '../../../shared/contract/retrieval.ts';
import { AppError } from '../../../shared/errors.ts';
import { MappedFile } from '../../data/mapped-file.ts';
import { writeWhole } from '../../files/files.ts';
import { makeFolder } from '../../files/folders.ts';
import { paddedWidth, Scanner } from './scan.ts';

/** Fewer rows than this are all compared, exactly: it takes no longer. */
export const EXACT_ROWS = 20_000;
/**
 * Candidates that are scored again by their full vectors, for each answer that is wanted: patches of plain surfaces are
 * so alike that eight bits put tens of them in the wrong order.
 */
const RERANK = 40;
/** Of vectors of unit length, by half precision. */
const MOST_COSINE = 1.02;
const BYTES = Float16Array.BYTES_PER_ELEMENT;

export interface SegmentRange {
  file: string;
  from: number;
  to: number;
}

/** A segment that is being written, by centres that are on the disk. */
export interface Planned extends SegmentRange {
  lists: number;
  learned_rows: number;
}

/** Description of what is on the disk; written last, by renaming, so that it never names files that are not whole. */
export interface Description {
  width: number;
  lists: number;
  /** Rows when the lists were learned. */
  learned_rows: number;
  /** Share of the rows that a query looks at. */
  share: number;
  segments: SegmentRange[];
  /** Writing goes on with it after a stop; null where nothing was begun. */
  planned: Planned | null;
  recall: Recall | null;
}

export interface Hit {
  row: number;
  /** Cosine, by the stored vectors of half precision. */
  score: number;
}

export interface SearchOptions {
  k: number;
  /** Rows that may be answers. */
  accept?: ((row: number) => boolean) | undefined;
  /** How many rows `accept` lets through; all where it is not known. */
  accepted?: number | undefined;
  /** Looks at this share, whatever the description says. */
  share?: number | undefined;
}

interface Segment {
  codes: MappedFile;
  offsets: Uint32Array;
  rows: Uint32Array;
  scales: Float32Array;
}

/** Of a description before lists are learned. */
export const NOTHING_LISTED = { lists: 0, learned_rows: 0, segments: [], planned: null, recall: null };
export const FILES = { description: 'index.json', vectors: 'vectors.f16', centres: 'centres.f32' } as const;

/**
 * Vectors of unit length on the disk, searched by cosine. An inverted file (IVF; Jégou et al., 2011): rows stand in
 * lists by their nearest centre, eight bits a value; a query scans the lists whose centres are nearest, and the best
 * candidates are scored again by their vectors in half precision. Codes are memory-mapped. New rows become a segment of
 * their own under the same centres, so adding rebuilds nothing.
 */
export class VectorIndex {
  readonly folder: string;
  readonly width: number;
  description: Description;
  readonly #vectors: number;
  #centres = new Float32Array();
  #segments: Segment[] = [];
  #scanner: Scanner | null = null;

  private constructor(folder: string, description: Description) {
    this.folder = folder;
    this.width = description.width;
    this.description = description;
    this.#vectors = openSync(join(folder, FILES.vectors), 'a+');
  }

  /** Opens what is there, or begins. @throws AppError bad-file where files do not belong together */
  static async open(folder: string, width: number): Promise<VectorIndex> {
    makeFolder(folder);
    const path = join(folder, FILES.description);
    const empty: Description = { width, ...NOTHING_LISTED, share: 1 };
    const description: Description = existsSync(path) ? { ...empty, ...described(folder, path) } : empty;
    if (description.width !== width)
      throw brokenIndex(folder, `Its vectors have ${description.width} values, not ${width}.`);
    const index = new VectorIndex(folder, description);
    try {
      await index.reload();
    } catch (error) {
      index.close();
      throw error instanceof AppError ? error : brokenIndex(folder, `${(error as Error).message}.`);
    }
    return index;
  }

  /** Rows on the disk, as its file's length says now. */
  get rows(): number {
    return Math.floor(statSync(join(this.folder, FILES.vectors)).size / (this.width * BYTES));
  }

  /** Rows that stand in lists. */
  get listed(): number {
    return this.description.segments.at(-1)?.to ?? 0;
  }

  get isMapped(): boolean {
    return this.#segments.every(({ codes }) => codes.isMapped);
  }

  /** Forgets all rows from this one on: a batch that was cut short, or a new beginning. */
  truncate(rows: number): void {
    if (this.rows > rows) truncateSync(join(this.folder, FILES.vectors), rows * this.width * BYTES);
    if (rows < this.listed || rows < (this.description.planned?.to ?? 0))
      this.describe({ ...this.description, ...NOTHING_LISTED });
  }

  /** @param vectors `[n, width]`, each of unit length */
  append(vectors: Float32Array): void {
    const half = new Float16Array(vectors);
    writeSync(this.#vectors, new Uint8Array(half.buffer));
  }

  /** Stored vectors of rows `from` to `to`: `[to - from, width]`. */
  read(from: number, to: number): Float16Array {
    const half = new Float16Array((to - from) * this.width);
    const bytes = new Uint8Array(half.buffer);
    if (readSync(this.#vectors, bytes, 0, bytes.length, from * this.width * BYTES) < bytes.length)
      throw brokenIndex(this.folder, 'Its vectors end too early.');
    return half;
  }

  describe(description: Description): void {
    writeWhole(join(this.folder, FILES.description), [Buffer.from(JSON.stringify(description, null, 2))]);
    const filesOf = ({ segments, planned }: Description) =>
      [...segments, ...(planned ? [planned] : [])].map((s) => s.file);
    const kept = filesOf(description);
    for (const file of filesOf(this.description)) if (!kept.includes(file)) this.#forget(file);
    this.description = description;
  }

  #forget(file: string): void {
    this.#closeSegments();
    for (const suffix of ['codes', 'order', 'lists', 'scales'])
      rmSync(join(this.folder, `${file}.${suffix}`), { force: true });
  }

  #closeSegments(): void {
    for (const { codes } of this.#segments) codes.close();
    this.#segments = [];
  }

  /** Opens what the description names. */
  async reload(): Promise<void> {
    this.#closeSegments();
    const { lists, segments } = this.description;
    if (segments.length === 0) return;
    const centres = readFileSync(join(this.folder, FILES.centres));
    if (centres.length !== 4 * lists * this.width) throw brokenIndex(this.folder, 'Its centres are not whole.');
    this.#centres = new Float32Array(centres.buffer.slice(centres.byteOffset, centres.byteOffset + centres.length));
    this.#scanner ??= await Scanner.make(this.width);
    this.#segments = segments.map(({ file, from, to }) => this.#open(file, to - from, lists));
  }

  #open(file: string, n: number, lists: number): Segment {
    const order = readFileSync(join(this.folder, `${file}.order`));
    const codes = new MappedFile(join(this.folder, `${file}.codes`));
    if (order.length !== 4 * (lists + 1) + 8 * n || codes.bytes !== n * paddedWidth(this.width)) {
      codes.close();
      throw brokenIndex(this.folder, `Segment ${file} is not whole.`);
    }
    const buffer = order.buffer.slice(order.byteOffset, order.byteOffset + order.length) as ArrayBuffer;
    return {
      codes,
      offsets: new Uint32Array(buffer, 0, lists + 1),
      rows: new Uint32Array(buffer, 4 * (lists + 1), n),
      scales: new Float32Array(buffer, 4 * (lists + 1 + n), n),
    };
  }

  /** The k nearest, the nearest first. @param query `[width]`, of unit length */
  search(query: Float32Array, { k, accept, accepted, share }: SearchOptions): Hit[] {
    const total = Math.min(this.rows, accepted ?? Number.POSITIVE_INFINITY);
    const all = accepted !== undefined && accept ? this.#accepted(accept, accepted) : null;
    if (all) return this.#rank(query, all, k);
    const listed = this.listed;
    const wanted = Math.max(k * RERANK, 400);
    const best = new Best(wanted);
    const goal = Math.max(wanted, Math.ceil(total * (share ?? this.description.share)));
    let seen = 0;
    if (listed > 0) {
      this.#scanner!.setQuery(query);
      for (const list of this.#nearestLists(query)) {
        for (const segment of this.#segments) seen += this.#scan(segment, list, best, accept);
        if (seen >= goal) break;
      }
    }
    const rest = [];
    for (let row = listed, end = this.rows; row < end; row++) if (!accept || accept(row)) rest.push(row);
    return this.#rank(query, [...best.rows(), ...rest], k);
  }

  /** Rows that a filter lets through, where they are so few that all are compared. */
  #accepted(accept: (row: number) => boolean, accepted: number): number[] | null {
    if (accepted > EXACT_ROWS) return null;
    const rows = [];
    for (let row = 0, end = this.rows; row < end; row++) if (accept(row)) rows.push(row);
    return rows;
  }

  #nearestLists(query: Float32Array): Int32Array {
    const { lists } = this.description;
    const similar = new Float32Array(lists);
    for (let list = 0; list < lists; list++) {
      let sum = 0;
      for (let d = 0, at = list * this.width; d < this.width; d++) sum += query[d]! * this.#centres[at + d]!;
      similar[list] = sum;
    }
    return Int32Array.from({ length: lists }, (_, i) => i).sort((a, b) => similar[b]! - similar[a]!);
  }

  /** @returns how many rows could have been answers */
  #scan(
    { codes, offsets, rows, scales }: Segment,
    list: number,
    best: Best,
    accept?: (row: number) => boolean,
  ): number {
    const scanner = this.#scanner!;
    const padded = paddedWidth(this.width);
    let seen = 0;
    for (let from = offsets[list]!; from < offsets[list + 1]!; from += scanner.rows) {
      const n = Math.min(scanner.rows, offsets[list + 1]! - from);
      codes.copy(from * padded, scanner.room(n));
      const dots = scanner.dots(n);
      for (let i = 0; i < n; i++) {
        const row = rows[from + i]!;
        if (accept && !accept(row)) continue;
        seen++;
        const score = dots[i]! * scales[from + i]!;
        if (score > best.least) best.add(row, score);
      }
    }
    return seen;
  }

  #rank(query: Float32Array, rows: number[], k: number): Hit[] {
    const hits: Hit[] = [];
    // Neighbouring rows are read together: a small index is read in a few turns.
    const sorted = Int32Array.from(rows).sort();
    for (let at = 0; at < sorted.length; ) {
      let end = at + 1;
      while (end < sorted.length && sorted[end] === sorted[end - 1]! + 1 && end - at < 4096) end++;
      const some = Float32Array.from(this.read(sorted[at]!, sorted[end - 1]! + 1));
      for (let i = at; i < end; i++) {
        let score = 0;
        for (let d = 0, from = (i - at) * this.width; d < this.width; d++) score += query[d]! * some[from + d]!;
        if (!(Math.abs(score) <= MOST_COSINE)) throw brokenIndex(this.folder, `A cosine of it would be ${score}.`);
        hits.push({ row: sorted[i]!, score });
      }
      at = end;
    }
    return hits.sort((a, b) => b.score - a.score || a.row - b.row).slice(0, k);
  }

  close(): void {
    this.#closeSegments();
    closeSync(this.#vectors);
  }
}

/** The best so many scores, kept in a heap with the least on top. */
class Best {
  readonly #most: number;
  readonly #heap: { row: number; score: number }[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  get least(): number {
    return this.#heap.length < this.#most ? Number.NEGATIVE_INFINITY : this.#heap[0]!.score;
  }

  add(row: number, score: number): void {
    const heap = this.#heap;
    if (heap.length < this.#most) {
      let at = heap.push({ row, score }) - 1;
      for (let up = (at - 1) >> 1; at > 0 && heap[up]!.score > heap[at]!.score; up = (at - 1) >> 1) {
        [heap[up], heap[at]] = [heap[at]!, heap[up]!];
        at = up;
      }
      return;
    }
    heap[0] = { row, score };
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < heap.length && heap[child]!.score < heap[least]!.score) least = child;
      if (least === at) return;
      [heap[least], heap[at]] = [heap[at]!, heap[least]!];
      at = least;
    }
  }

  rows(): number[] {
    return this.#heap.map(({ row }) => row);
  }
}

export const brokenIndex = (folder: string, why: string) =>
  new AppError(
    'bad-file',
    'The index cannot be used.',
    `${folder}: ${why}`,
    'Build it again: what is damaged is made anew.',
  );

function described(folder: string, path: string): Partial<Description> {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw brokenIndex(folder, `Its description cannot be read (${(error as Error).message}).`);
  }
}
