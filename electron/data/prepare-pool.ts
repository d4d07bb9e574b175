import { availableParallelism } from 'node:os';
import { sourceFile } from '../files/project.ts';
import { overFiles } from './file-pool.ts';
import { DecodeMemory } from './memory.ts';
import type { PrepareRequest, PrepareResult } from './prepare-worker.ts';

const WORKER = sourceFile('./prepare-worker', import.meta.url);
/** Few, because the pixels of those that are under way are in memory. */
export const BATCH = 8;
export const THREADS = Math.min(availableParallelism(), 8);

/** Decodes and downsizes files in worker threads, as `overFiles` does it. @param size the shorter side at most, pixels */
export function prepareFiles<T extends PrepareRequest>(
  files: T[],
  { size, signal }: { size: number; signal?: AbortSignal | undefined },
): AsyncGenerator<{ file: T; result: PrepareResult }[]> {
  return overFiles(files, {
    worker: WORKER,
    workerData: { size, memory: new DecodeMemory().shared },
    toSend: ({ path, bytes, mtime }): PrepareRequest => ({ path, bytes, mtime }),
    threads: THREADS,
    batch: BATCH,
    signal,
  });
}
