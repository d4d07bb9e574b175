import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { availableParallelism } from 'node:os';
import { pipeline } from 'node:stream/promises';
import { onDisk } from '../files/on-disk.ts';
import { DecoderPool } from './decoder-pool.ts';
import { ImageFault } from './image-fault.ts';
import type { ProbeLimits, ProbeResult } from './probe.ts';

export interface ProbeOptions {
  limits?: ProbeLimits;
  /** Processes; default one for each core, at most 8, and fewer for few files. */
  processes?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** Files that are worth a process more: it takes as long to start. */
const WORTH = 40;

/**
 * Probes files in processes of their own (see `DecoderPool`), and yields them with their results as they are done, so in
 * no fixed order. After `signal` no new one is begun; those under way are still yielded, and the generator ends.
 */
export async function* probeFiles<T extends { absolute: string }>(
  files: T[],
  { limits = {}, processes, signal }: ProbeOptions = {},
): AsyncGenerator<{ file: T; result: ProbeResult }[]> {
  if (files.length === 0) return;
  const worth = Math.min(availableParallelism(), 8, Math.ceil(files.length / WORTH));
  const pool = new DecoderPool(processes ?? worth);
  let done: { file: T; result: ProbeResult }[] = [];
  let next = 0;
  let open = 0;
  let failure: unknown;
  let wake = () => {};
  const begin = (file: T) => {
    open++;
    probed(pool, file.absolute, limits)
      .then(
        (result) => void done.push({ file, result }),
        (error) => {
          failure ??= error;
        },
      )
      .finally(() => {
        open--;
        wake();
      });
  };
  try {
    for (;;) {
      // Some more than are in hand, so that no process waits for who takes the results.
      while (next < files.length && open < 2 * pool.room && !signal?.aborted) begin(files[next++]!);
      if (failure) throw failure;
      if (done.length > 0) {
        const batch = done;
        done = [];
        yield batch;
      } else if (open > 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else return;
    }
  } finally {
    pool.close();
  }
}

async function probed(pool: DecoderPool, path: string, limits: ProbeLimits): Promise<ProbeResult> {
  try {
    return await pool.run({ kind: 'probe', path, limits });
  } catch (error) {
    if (!(error instanceof ImageFault)) throw error;
    // Its content is known, so that the next import does not try again.
    const hash = createHash('sha256');
    await pipeline(createReadStream(onDisk(path), { highWaterMark: 2 ** 20 }), hash).catch(() => {});
    const { reason, message: detail } = error;
    return { hash: hash.digest('hex'), width: 0, height: 0, format: '', reason, detail, note: null };
  }
}
