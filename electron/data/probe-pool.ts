import { overFiles } from './file-pool.ts';
import type { ProbeLimits, ProbeResult } from './probe.ts';
import type { ProbeRequest } from './probe-worker.ts';

const WORKER = new URL(import.meta.url.endsWith('.ts') ? './probe-worker.ts' : './probe-worker.js', import.meta.url);

export interface ProbeOptions {
  limits?: ProbeLimits;
  /** Worker threads; default one per core, at most 8. */
  threads?: number;
  /** Files a thread decodes at a time. */
  inFlight?: number;
  /** Files of a batch. */
  batch?: number;
  signal?: AbortSignal | undefined;
}

/** Probes files in worker threads, as `overFiles` does it. */
export function probeFiles<T extends { absolute: string; bytes: number }>(
  files: T[],
  { limits = {}, inFlight = 2, threads, batch, signal }: ProbeOptions = {},
): AsyncGenerator<{ file: T; result: ProbeResult }[]> {
  return overFiles(files, {
    worker: WORKER,
    workerData: { limits, inFlight },
    toSend: ({ absolute, bytes }): ProbeRequest => ({ path: absolute, bytes }),
    ...{ threads, batch, signal },
  });
}
