import { closeSync, openSync, readFileSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { nearestCentre } from '../../engine/clusters.ts';
import { writeWhole } from '../../files/files.ts';
import { paddedWidth, quantise } from './scan.ts';
import { FILES, type Planned, type VectorIndex } from './vector-index.ts';

export interface SegmentOptions {
  /** Rows between two places from which writing goes on. */
  chunk: number;
  /** Called before each chunk; what it throws stops the work. */
  step: (done: number, total: number, phase: string) => Promise<void>;
}

/**
 * Sorts rows into lists and writes them with their codes. Both are done in chunks that are kept in files: stopped and
 * called again with the same plan, it goes on after the last whole chunk, and the segment is the same.
 */
export async function writeSegment(index: VectorIndex, plan: Planned, options: SegmentOptions): Promise<void> {
  const { file, from, to, lists } = plan;
  const path = (suffix: string) => join(index.folder, `${file}.${suffix}`);
  const list = await sortIntoLists(index, plan, path('lists'), options);
  const { offsets, rows } = ordered(list, lists, from);
  const [codes, scales] = [
    new ChunkedFile(path('codes'), paddedWidth(index.width)),
    new ChunkedFile(path('scales'), 4),
  ];
  try {
    const n = to - from;
    const begin = Math.min(codes.resume(n, options.chunk), scales.resume(n, options.chunk));
    for (const one of [codes, scales]) one.truncate(begin);
    for (let at = begin; at < n; at += options.chunk) {
      await options.step(at, n, 'writing');
      const count = Math.min(options.chunk, n - at);
      const own = encode(index, rows.subarray(at, at + count));
      codes.append(own.codes);
      scales.append(own.scales);
    }
    const order = [offsets, rows].map((part) => new Uint8Array(part.buffer));
    writeWhole(path('order'), [...order, scales.read()]);
  } finally {
    codes.close();
    scales.close();
  }
  for (const suffix of ['lists', 'scales']) rmSync(path(suffix));
}

/** The list of each row of the segment. */
async function sortIntoLists(
  index: VectorIndex,
  { from, to, lists }: Planned,
  path: string,
  { chunk, step }: SegmentOptions,
): Promise<Int32Array> {
  const bytes = readFileSync(join(index.folder, FILES.centres));
  const centres = tf.tensor2d(new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)), [
    lists,
    index.width,
  ]);
  const file = new ChunkedFile(path, 4);
  try {
    const n = to - from;
    for (let at = file.resume(n, chunk); at < n; at += chunk) {
      await step(at, n, 'sorting patches into lists');
      const some = Float32Array.from(index.read(from + at, from + Math.min(n, at + chunk)));
      file.append(new Uint8Array(Int32Array.from(nearestCentre(some, centres)).buffer));
    }
    return new Int32Array(file.read().buffer);
  } finally {
    file.close();
    centres.dispose();
  }
}

/** Rows list by list, and where each list begins. */
function ordered(list: Int32Array, lists: number, from: number): { offsets: Uint32Array; rows: Uint32Array } {
  const offsets = new Uint32Array(lists + 1);
  for (const one of list) offsets[one + 1]!++;
  for (let i = 0; i < lists; i++) offsets[i + 1]! += offsets[i]!;
  const next = offsets.slice();
  const rows = new Uint32Array(list.length);
  list.forEach((one, i) => {
    rows[next[one]!++] = from + i;
  });
  return { offsets, rows };
}

/** Eight bits a value, filled up to whole words, and the scale of each row. */
function encode(index: VectorIndex, rows: Uint32Array): { codes: Uint8Array; scales: Uint8Array } {
  const padded = paddedWidth(index.width);
  const codes = new Int8Array(rows.length * padded);
  const scales = new Float32Array(rows.length);
  rows.forEach((row, i) => {
    scales[i] = quantise(index.read(row, row + 1), codes.subarray(i * padded, i * padded + index.width));
  });
  return { codes: new Uint8Array(codes.buffer), scales: new Uint8Array(scales.buffer) };
}

/** A file of rows that grows by chunks. */
class ChunkedFile {
  readonly #path: string;
  readonly #row: number;
  readonly #file: number;

  /** @param row bytes of a row */
  constructor(path: string, row: number) {
    this.#path = path;
    this.#row = row;
    this.#file = openSync(path, 'a');
  }

  /** How many of `n` rows stand in whole chunks; what follows them is cut off. */
  resume(n: number, chunk: number): number {
    const there = Math.floor(statSync(this.#path).size / this.#row);
    const whole = there >= n ? n : Math.floor(there / chunk) * chunk;
    this.truncate(whole);
    return whole;
  }

  truncate(rows: number): void {
    truncateSync(this.#path, rows * this.#row);
  }

  append(data: Uint8Array): void {
    writeSync(this.#file, data);
  }

  /** A copy of its own: it begins at the first byte of its buffer. */
  read(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(readFileSync(this.#path));
  }

  close(): void {
    closeSync(this.#file);
  }
}
