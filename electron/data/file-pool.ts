import { availableParallelism } from 'node:os';
import { parentPort, type TransferListItem, Worker } from 'node:worker_threads';

interface Request {
  batch: number;
  files: unknown[];
}
interface Reply {
  batch: number;
  results: unknown[];
}

export interface FilePoolOptions<T> {
  /** A file that calls `answerFiles`. */
  worker: URL;
  workerData: unknown;
  /** What a thread is told of a file. */
  toSend: (file: T) => unknown;
  /** Worker threads; default one per core, at most 8. */
  threads?: number | undefined;
  /** Files of a batch. */
  batch?: number | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Runs a worker's function over files in threads, and yields the files with their results, in batches as these are done (so
 * in no fixed order). No thread gets more than two batches ahead of the consumer. After `signal` no new batch starts; those
 * under way are still yielded, and the generator ends. It throws where a worker dies.
 */
export async function* overFiles<T, R>(
  files: T[],
  { worker: url, workerData, toSend, batch: size = 32, signal, ...options }: FilePoolOptions<T>,
): AsyncGenerator<{ file: T; result: R }[]> {
  const batches = Math.ceil(files.length / size);
  const threads = Math.min(options.threads ?? Math.min(availableParallelism(), 8), batches);
  const done: { worker: Worker; results: { file: T; result: R }[] }[] = [];
  let next = 0;
  let open = 0;
  let failure: unknown = null;
  let wake = () => {};

  const give = (worker: Worker) => {
    if (next >= batches || signal?.aborted) return;
    const batch = next++;
    open++;
    worker.postMessage({ batch, files: files.slice(batch * size, (batch + 1) * size).map(toSend) } satisfies Request);
  };
  const workers = Array.from({ length: threads }, () => {
    const worker = new Worker(url, { workerData });
    worker.on('message', ({ batch, results }: Reply) => {
      done.push({
        worker,
        results: results.map((result, i) => ({ file: files[batch * size + i]!, result: result as R })),
      });
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
      while (done.length > 0) {
        const { worker, results } = done.shift()!;
        open--;
        give(worker);
        yield results;
      }
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

/**
 * In a worker thread: answers every batch, with `inFlight` files at a time.
 * @param act one file to its result @param moved memory of a result that goes over to who asked
 */
export function answerFiles<F, R>(
  inFlight: number,
  act: (file: F) => Promise<R>,
  moved: (result: R) => TransferListItem[] = () => [],
): void {
  parentPort!.on('message', async ({ batch, files }: Request) => {
    const results: R[] = new Array(files.length);
    let next = 0;
    const lane = async () => {
      for (let i = next++; i < files.length; i = next++) results[i] = await act(files[i] as F);
    };
    await Promise.all(Array.from({ length: inFlight }, lane));
    parentPort!.postMessage({ batch, results } satisfies Reply, results.flatMap(moved));
  });
}
