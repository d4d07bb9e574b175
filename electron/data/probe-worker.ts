import { parentPort, workerData } from 'node:worker_threads';
import sharp from 'sharp';
import { type ProbeLimits, type ProbeResult, probeFile } from './probe.ts';

/** A batch of files to probe, and the answer: one result per file, in the same order. */
export interface ProbeRequest {
  batch: number;
  files: { path: string; bytes: number }[];
}
export interface ProbeReply {
  batch: number;
  results: ProbeResult[];
}

// No file is decoded twice, and parallelism comes from the files in flight.
sharp.cache(false);
sharp.concurrency(1);

const { limits, inFlight } = workerData as { limits: ProbeLimits; inFlight: number };

parentPort!.on('message', async ({ batch, files }: ProbeRequest) => {
  const results: ProbeResult[] = new Array(files.length);
  let next = 0;
  const lane = async () => {
    for (let i = next++; i < files.length; i = next++)
      results[i] = await probeFile(files[i]!.path, files[i]!.bytes, limits);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  parentPort!.postMessage({ batch, results } satisfies ProbeReply);
});
