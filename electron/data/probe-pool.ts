import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { ProbeLimits, ProbeResult } from './probe.ts';
import type { ProbeReply, ProbeRequest } from './probe-worker.ts';

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

/**
 * Probes files in worker threads and yields them with their results, in batches as they are done (so in no fixed order).
 * After `signal` no new batch starts; those under way are still yielded, and the generator ends. A worker that dies
 * makes it throw.
 */
export async function* probeFiles<T extends { absolute: string; bytes: number }>(
  files: T[],
  options: ProbeOptions = {},
): AsyncGenerator<{ file: T; result: ProbeResult }[]> {
  const { limits = {}, inFlight = 2, batch: size = 32, signal } = options;
  const batches = Math.ceil(files.length / size);
  const threads = Math.min(options.threads ?? Math.min(availableParallelism(), 8), batches);
  const done: { file: T; result: ProbeResult }[][] = [];
  let next = 0;
  let open = 0;
  let failure: unknown = null;
  let wake = () => {};

  const give = (worker: Worker) => {
    if (next >= batches || signal?.aborted) return;
    const batch = next++;
    open++;
    const part = files.slice(batch * size, (batch + 1) * size).map((f) => ({ path: f.absolute, bytes: f.bytes }));
    worker.postMessage({ batch, files: part } satisfies ProbeRequest);
  };
  const workers = Array.from({ length: threads }, () => {
    const worker = new Worker(WORKER, { workerData: { limits, inFlight } });
    worker.on('message', ({ batch, results }: ProbeReply) => {
      open--;
      done.push(results.map((result, i) => ({ file: files[batch * size + i]!, result })));
      give(worker);
      wake();
    });
    worker.on('error', (error) => {
      failure = error;
      wake();
    });
    // Two batches each, so that a thread never waits for this one.
    give(worker);
    give(worker);
    return worker;
  });

  try {
    for (;;) {
      while (done.length > 0) yield done.shift()!;
      if (failure) throw failure;
      if (open === 0) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
