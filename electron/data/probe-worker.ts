import { workerData } from 'node:worker_threads';
import sharp from 'sharp';
import { answerFiles } from './file-pool.ts';
import { type ProbeLimits, probeFile } from './probe.ts';

/** A file to probe; the answer is a `ProbeResult`. */
export interface ProbeRequest {
  path: string;
  bytes: number;
}

// No file is decoded twice, and parallelism comes from the files in flight.
sharp.cache(false);
sharp.concurrency(1);

const { limits, inFlight } = workerData as { limits: ProbeLimits; inFlight: number };

answerFiles(inFlight, ({ path, bytes }: ProbeRequest) => probeFile(path, bytes, limits));
