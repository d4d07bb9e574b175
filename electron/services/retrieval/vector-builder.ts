import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Recall } from '../../../shared/contract/retrieval.ts';
import { stream } from '../../data/random.ts';
import { kMeans } from '../../engine/clusters.ts';
import { hostTidy } from '../../engine/host.ts';
import { writeWhole } from '../../files/files.ts';
import { writeSegment } from './segment-writer.ts';
import { EXACT_ROWS, FILES, type Hit, NOTHING_LISTED, type Planned, type VectorIndex } from './vector-index.ts';

/** Below this an index says that its answers may miss neighbours. */
export const RECALL_GOAL = 0.95;
/** Aimed at when the share is chosen: higher than the goal, so that other queries reach that too. */
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
/** Scores that differ by less count as equal: they differ by half precision, or by the order of a sum. */
const TIE = 1e-4;

export interface BuildOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number, total: number, phase: string) => void) | undefined;
  /** Rows of one image stand together, so many each: a query's own image gives no answers when recall is measured. */
  group?: number;
  /** Rows that are sorted, or written, between two places from which a stopped build goes on. */
  chunk?: number;
}

/** Lets messages through, and stops where that was asked. */
async function breathe(signal: AbortSignal | undefined): Promise<void> {
  await new Promise(setImmediate);
  signal?.throwIfAborted();
}

/**
 * Puts rows that are in no list yet into lists, learns the lists where there are none, and measures recall. The old index
 * stays usable until the new description is written. After a stop, it goes on with the plan that was begun: after the last
 * finished turn of learning, or chunk. Needs a backend.
 */
export async function updateLists(index: VectorIndex, options: BuildOptions = {}): Promise<void> {
  if (index.rows <= EXACT_ROWS) return; // all are compared
  while (index.listed < index.rows) {
    const plan = index.description.planned ?? (await makePlan(index, options));
    await writeSegment(index, plan, {
      chunk: options.chunk ?? CHUNK,
      step: async (done, total, phase) => {
        options.onProgress?.(done, total, phase);
        await breathe(options.signal);
      },
    });
    const { lists, learned_rows, file, from, to } = plan;
    const segments = [...index.description.segments, { file, from, to }];
    index.describe({ ...index.description, lists, learned_rows, segments, planned: null, recall: null });
    await index.reload();
  }
  if (index.description.recall !== null) return;
  const isNew = index.description.segments.length === 1;
  const { recall } = await measureRecall(index, { ...options, isFree: isNew });
  // Lists that were learned of other rows may fit those that came since worse: more of them are looked at then.
  if (!isNew && recall < RECALL_GOAL) await measureRecall(index, { ...options, isFree: true });
}

/** The plan of a segment, once its lists are learned; it is on the disk before the first row is sorted. */
async function makePlan(index: VectorIndex, options: BuildOptions): Promise<Planned> {
  const { rows } = index;
  let { lists, learned_rows } = index.description;
  if (index.listed === 0 || rows > GROWTH * learned_rows) {
    // The old segments go with the old centres; until the new are there, nothing is listed.
    index.describe({ ...index.description, ...NOTHING_LISTED });
    lists = Math.min(MOST_LISTS, 2 ** Math.round(Math.log2(2 * Math.sqrt(rows))));
    learned_rows = rows;
    const centres = await learn(index, lists, options);
    writeWhole(join(index.folder, FILES.centres), [new Uint8Array(centres.buffer)]);
  }
  const from = index.listed;
  const planned = { file: `segment-${from}-${rows}`, from, to: rows, lists, learned_rows };
  index.describe({ ...index.description, planned });
  rmSync(join(index.folder, LEARNING), { force: true });
  return planned;
}

/** Lists that are being learned: how many turns, of how many lists and rows, then the centres. */
const LEARNING = 'learning.f32';
const HEAD = 3;

function saveTurn(index: VectorIndex, turn: number, lists: number, centres: Float32Array): void {
  const head = new Uint8Array(Float64Array.of(turn, lists, index.rows).buffer);
  writeWhole(join(index.folder, LEARNING), [head, new Uint8Array(centres.buffer)]);
}

/** Null where nothing was learned of so many lists and rows. */
function savedTurn(index: VectorIndex, lists: number): { turn: number; centres: Float32Array } | null {
  const path = join(index.folder, LEARNING);
  if (!existsSync(path)) return null;
  const { buffer } = Uint8Array.from(readFileSync(path));
  const size = lists * index.width;
  if (buffer.byteLength !== 8 * HEAD + 4 * size) return null;
  const [turn, own, rows] = new Float64Array(buffer, 0, HEAD);
  return own === lists && rows === index.rows
    ? { turn: turn!, centres: new Float32Array(buffer, 8 * HEAD, size) }
    : null;
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
    randomOf: (turn) => {
      const own = stream(SEED, lists, index.rows, `lists, turn ${turn}`);
      return () => own.next();
    },
    from: savedTurn(index, lists),
    onTurn: async (turn, centres) => {
      if (turn > 0) saveTurn(index, turn, lists, centres);
      onProgress?.(turn, ITERATIONS, 'learning the lists');
      await breathe(signal);
    },
  });
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
