import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { stream } from '../../data/random.ts';
import { kMeans, nearestCentre } from '../../engine/clusters.ts';
import { hostTidy } from '../../engine/host.ts';
import { paddedWidth, quantise } from './scan.ts';
import { EXACT_ROWS, FILES, type Hit, type Recall, type VectorIndex, writeWhole } from './vector-index.ts';

/** Below this an index says that its answers may miss neighbours. */
export const RECALL_GOAL = 0.95;
/** Aimed at when the share is chosen, so that other queries reach the goal too. */
const RECALL_AIM = 0.975;
const SHARES = [0.005, 0.01, 0.02, 0.03, 0.045, 0.07, 0.1, 0.15, 0.25, 0.5, 1];
/** Rows a list, at least, when lists are learned. */
const SAMPLE = 48;
const MOST_LISTS = 2048;
const ITERATIONS = 8;
const CHUNK = 65_536;
/** The lists are learned anew when the rows have grown by this factor. */
const GROWTH = 4;
const SEED = 20220519;
/** Scores are equal that differ by less: half precision, and sums in another order. */
const TIE = 1e-4;

export interface BuildOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number, total: number, phase: string) => void) | undefined;
  /** Rows of one image stand together, so many each: a query's own image gives no answers when recall is measured. */
  group?: number;
}

/** Lets messages through, and stops where that was asked. */
async function breathe(signal: AbortSignal | undefined): Promise<void> {
  await new Promise(setImmediate);
  signal?.throwIfAborted();
}

/**
 * Puts rows that are in no list yet into lists, learns the lists where there are none, and measures recall. What is
 * there stays usable until the new description is written. Needs a backend.
 */
export async function updateLists(index: VectorIndex, options: BuildOptions = {}): Promise<void> {
  const { rows } = index;
  if (rows <= EXACT_ROWS) return; // all are compared
  const isNew = index.listed === 0 || rows > GROWTH * index.description.learned_rows;
  if (!isNew && index.listed === rows) return;
  const lists = isNew ? Math.min(MOST_LISTS, 2 ** Math.round(Math.log2(2 * Math.sqrt(rows)))) : index.description.lists;
  if (isNew) {
    // The old segments go with the old centres; until the new are there, nothing is listed.
    index.describe({ ...index.description, lists: 0, learned_rows: 0, segments: [], recall: null });
    const centres = await learn(index, lists, options);
    writeWhole(join(index.folder, FILES.centres), new Uint8Array(centres.buffer));
  }
  const from = isNew ? 0 : index.listed;
  const file = `segment-${from}-${rows}`;
  await writeSegment(index, { file, from, to: rows, lists }, options);
  index.describe({
    ...index.description,
    lists,
    learned_rows: isNew ? rows : index.description.learned_rows,
    segments: [...index.description.segments, { file, from, to: rows }],
    recall: null,
  });
  await index.reload();
  await measureRecall(index, { ...options, isFree: isNew });
}

async function learn(index: VectorIndex, lists: number, { signal, onProgress }: BuildOptions): Promise<Float32Array> {
  const random = stream(SEED, lists, index.rows, 'lists');
  const count = Math.min(index.rows, lists * SAMPLE);
  const sample = new Float32Array(count * index.width);
  for (let i = 0; i < count; i++) {
    // One row of each of `count` stretches: spread over the file, and read in its order.
    const row = Math.min(index.rows - 1, Math.floor(((i + random.next()) * index.rows) / count));
    sample.set(index.read(row, row + 1), i * index.width);
    if (i % 4096 === 0) await breathe(signal);
  }
  return kMeans(sample, {
    lists,
    width: index.width,
    iterations: ITERATIONS,
    random: () => random.next(),
    onProgress: async (done, total) => {
      onProgress?.(done, total, 'learning the lists');
      await breathe(signal);
    },
  });
}

async function writeSegment(
  index: VectorIndex,
  { file, from, to, lists }: { file: string; from: number; to: number; lists: number },
  { signal, onProgress }: BuildOptions,
): Promise<void> {
  const n = to - from;
  const bytes = readFileSync(join(index.folder, FILES.centres));
  const centres = tf.tensor2d(new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)), [
    lists,
    index.width,
  ]);
  const list = new Int32Array(n);
  try {
    for (let at = 0; at < n; at += CHUNK) {
      onProgress?.(at, n, 'sorting patches into lists');
      await breathe(signal);
      list.set(nearestCentre(Float32Array.from(index.read(from + at, from + Math.min(n, at + CHUNK))), centres), at);
    }
  } finally {
    centres.dispose();
  }
  const offsets = new Uint32Array(lists + 1);
  for (const one of list) offsets[one + 1]!++;
  for (let i = 0; i < lists; i++) offsets[i + 1]! += offsets[i]!;
  const next = offsets.slice();
  const rows = new Uint32Array(n);
  list.forEach((one, i) => {
    rows[next[one]!++] = from + i;
  });
  const scales = new Float32Array(n);
  const padded = paddedWidth(index.width);
  const out = openSync(join(index.folder, `${file}.codes`), 'w');
  try {
    const codes = new Int8Array(CHUNK * padded);
    for (let at = 0; at < n; at += CHUNK) {
      onProgress?.(at, n, 'writing');
      await breathe(signal);
      const end = Math.min(n, at + CHUNK);
      for (let i = at; i < end; i++) {
        const into = codes.subarray((i - at) * padded, (i - at) * padded + index.width);
        scales[i] = quantise(index.read(rows[i]!, rows[i]! + 1), into);
      }
      writeSync(out, codes, 0, (end - at) * padded);
    }
  } finally {
    closeSync(out);
  }
  writeWhole(
    join(index.folder, `${file}.order`),
    Buffer.concat([offsets, rows, scales].map((part) => new Uint8Array(part.buffer))),
  );
}

/** Queries of the index's own rows, spread over it by a seed. */
function someRows(index: VectorIndex, count: number, purpose: string): number[] {
  const random = stream(SEED, count, index.rows, purpose);
  return Array.from({ length: count }, () => Math.floor(random.next() * index.rows));
}

const notOf = (row: number, group: number) => {
  const own = Math.floor(row / group);
  return (other: number) => Math.floor(other / group) !== own;
};

/** The score of the k-th best of all rows, for each query: what an answer must reach. */
export async function exactThresholds(
  index: VectorIndex,
  queries: { vector: Float32Array; isAllowed: (row: number) => boolean }[],
  k: number,
  { signal, onProgress }: BuildOptions = {},
): Promise<number[]> {
  const { rows, width } = index;
  const all = tf.tensor2d(Float32Array.from(queries.flatMap(({ vector }) => [...vector])), [queries.length, width]);
  const best: number[][] = queries.map(() => []);
  try {
    for (let at = 0; at < rows; at += CHUNK) {
      onProgress?.(at, rows, 'comparing with all patches');
      await breathe(signal);
      const n = Math.min(CHUNK, rows - at);
      const scores = hostTidy(() =>
        tf.matMul(all, tf.tensor2d(Float32Array.from(index.read(at, at + n)), [n, width]), false, true),
      );
      queries.forEach(({ isAllowed }, q) => {
        const own = best[q]!;
        for (let i = 0; i < n; i++) {
          const score = scores[q * n + i]!;
          if ((own.length === k && score <= own[0]!) || !isAllowed(at + i)) continue;
          own.push(score);
          own.sort((a, b) => a - b);
          if (own.length > k) own.shift();
        }
      });
    }
  } finally {
    all.dispose();
  }
  return best.map((own) => own[0] ?? Number.NEGATIVE_INFINITY);
}

/** Share of k answers, over all queries, that reach what exact search reaches: by score, because scores tie. */
export function recallOf(answers: Hit[][], thresholds: number[], k: number): number {
  const reached = answers.map((hits, q) => hits.filter(({ score }) => score >= thresholds[q]! - TIE).length);
  return reached.reduce((a, b) => a + Math.min(k, b), 0) / (k * answers.length);
}

/**
 * Measures recall@k on rows of the index and writes it down. Where the share is free, the least of `SHARES` that reaches
 * the goal is chosen first, on other rows.
 */
export async function measureRecall(
  index: VectorIndex,
  {
    group = 1,
    isFree = false,
    k = 10,
    count = 100,
    ...options
  }: BuildOptions & { isFree?: boolean; k?: number; count?: number } = {},
): Promise<Recall> {
  const make = (purpose: string) =>
    someRows(index, count, purpose).map((row) => ({
      vector: Float32Array.from(index.read(row, row + 1)),
      isAllowed: notOf(row, group),
    }));
  const [choosing, judging] = [make('choose share'), make('judge recall')];
  const thresholds = await exactThresholds(index, [...choosing, ...judging], k, options);
  const ask = (queries: typeof choosing, share: number) => {
    const times: number[] = [];
    const answers = queries.map(({ vector, isAllowed }) => {
      const start = performance.now();
      const hits = index.search(vector, { k, accept: isAllowed, share });
      times.push(performance.now() - start);
      return hits;
    });
    return { answers, times: times.sort((a, b) => a - b) };
  };
  let { share } = index.description;
  if (isFree) {
    for (share of SHARES) {
      await breathe(options.signal);
      if (recallOf(ask(choosing, share).answers, thresholds.slice(0, count), k) >= RECALL_AIM) break;
    }
  }
  const { answers, times } = ask(judging, share);
  const recall: Recall = {
    recall: recallOf(answers, thresholds.slice(count), k),
    k,
    queries: count,
    p50: times[Math.floor(0.5 * count)]!,
    p95: times[Math.floor(0.95 * count)]!,
  };
  index.describe({ ...index.description, share, recall });
  return recall;
}
