// biome-ignore lint/style/noRestrictedImports: made-up vectors, which are removed once they are measured
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { stream } from '../data/random.ts';
import { hostTidy } from '../engine/host.ts';
import { folderBytes } from '../files/folders.ts';
import { workerFile } from '../files/project.ts';
import { askProcess } from '../processes/asked-process.ts';
import { exactThresholds, recallOf, updateLists } from '../services/retrieval/vector-builder.ts';
import { type Hit, VectorIndex } from '../services/retrieval/vector-index.ts';

export interface RetrievalBench {
  rows: number;
  width: number;
  data: string;
  lists: number;
  /** Share of the rows that a query looks at. */
  share: number;
  build_s: number | null;
  disk_bytes: number;
  is_mapped: boolean;
  queries: number;
  recall_at_10: number;
  p50_ms: number;
  p95_ms: number;
  open_ms: number;
  /** Of a process that does nothing else: after opening, and at its most over all queries. */
  resident_opened: number;
  resident_peak: number;
}

const K = 10;
/** Dimensions that made-up features really have, and clusters among them. */
const LATENT = 64;
const CLUSTERS = 20_000;
const CHUNK = 20_000;

interface Options {
  queries: number;
  signal?: AbortSignal;
  onProgress?: (done: number, total: number, phase: string) => void;
}

/** Builds an index of made-up features in `folder`, and measures it. */
export async function benchMadeUp(
  folder: string,
  { rows, width, ...options }: Options & { rows: number; width: number },
): Promise<RetrievalBench> {
  rmSync(folder, { recursive: true, force: true });
  const index = await VectorIndex.open(folder, width);
  const random = stream(1, rows, width, 'made-up features');
  const normal = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  const project = tf.tensor2d(Float32Array.from({ length: LATENT * width }, normal), [LATENT, width]);
  const centres = Float32Array.from({ length: CLUSTERS * LATENT }, normal);
  for (let at = 0; at < rows; at += CHUNK) {
    options.signal?.throwIfAborted();
    options.onProgress?.(at, rows, 'making features up');
    const n = Math.min(CHUNK, rows - at);
    const latent = new Float32Array(n * LATENT);
    for (let i = 0; i < n; i++) {
      const centre = random.int(CLUSTERS) * LATENT;
      for (let d = 0; d < LATENT; d++) latent[i * LATENT + d] = centres[centre + d]! + 0.7 * normal();
    }
    const vectors = hostTidy(() => {
      const x = tf.matMul(tf.tensor2d(latent, [n, LATENT]), project);
      return tf.div(x, tf.norm(x, 2, 1, true));
    });
    index.append(vectors);
  }
  project.dispose();
  const start = performance.now();
  await updateLists(index, options);
  const build_s = (performance.now() - start) / 1000;
  const data = `made up: ${CLUSTERS} clusters in ${LATENT} dimensions, seen through ${width}`;
  return measure(index, { ...options, data, group: 1, build_s });
}

/** Measures an index that is there. @param group rows of one image */
export async function benchIndex(
  folder: string,
  { width, ...options }: Options & { width: number; group: number; data: string },
): Promise<RetrievalBench> {
  return measure(await VectorIndex.open(folder, width), { ...options, build_s: null });
}

async function measure(
  index: VectorIndex,
  {
    queries: count,
    data,
    group,
    build_s,
    ...options
  }: Options & { data: string; group: number; build_s: number | null },
): Promise<RetrievalBench> {
  const { width, rows, folder, description, isMapped } = index;
  const random = stream(2, rows, count, 'bench queries');
  const asked = Array.from({ length: count }, () => {
    const row = random.int(rows);
    return { row, vector: Float32Array.from(index.read(row, row + 1)) };
  });
  const thresholds = await exactThresholds(
    index,
    asked.map(({ row, vector }) => ({
      vector,
      isAllowed: (other: number) => Math.floor(other / group) !== Math.floor(row / group),
    })),
    K,
    options,
  );
  index.close();
  const file = join(folder, 'bench-queries.f32');
  const flat = new Float32Array(count * (1 + width));
  asked.forEach(({ row, vector }, i) => {
    flat[i * (1 + width)] = row; // exact below 2^24
    flat.set(vector, i * (1 + width) + 1);
  });
  writeFileSync(file, new Uint8Array(flat.buffer));
  const answer = await askProcess<SearchQuestions, 'search'>(
    workerFile('bench'),
    [],
    'search',
    { folder, width, file, k: K, group },
    { does: 'is measured', next: 'Measure again.' },
  );
  rmSync(file);
  const times = answer.times.sort((a, b) => a - b);
  return {
    rows,
    width,
    data,
    lists: description.lists,
    share: description.share,
    build_s,
    disk_bytes: await folderBytes(folder),
    is_mapped: isMapped,
    queries: count,
    recall_at_10: recallOf(answer.hits, thresholds, K),
    p50_ms: times[Math.floor(0.5 * count)]!,
    p95_ms: times[Math.floor(0.95 * count)]!,
    open_ms: answer.open_ms,
    resident_opened: answer.opened,
    resident_peak: answer.peak,
  };
}

/** What the process that is measured is asked. `file` holds rows of `[1 + width]` float32: a query's row, and its vector. */
export interface SearchQuestions {
  search: [{ folder: string; width: number; file: string; k: number; group: number }, BenchAnswer];
}

export interface BenchAnswer {
  hits: Hit[][];
  /** Milliseconds, one a query. */
  times: number[];
  /** Most memory that was ever resident, bytes, and what was when nothing had been asked yet. */
  peak: number;
  opened: number;
  open_ms: number;
}
