import { stat } from 'node:fs/promises';
import { workerData } from 'node:worker_threads';
import sharp from 'sharp';
import { AppError } from '../../shared/errors.ts';
import { onDisk } from '../files/on-disk.ts';
import { openImage } from './decode.ts';
import { answerFiles } from './file-pool.ts';
import { shareMemory } from './memory.ts';
import type { Pixels } from './pixels.ts';
import { downsized } from './prepared.ts';

/** A file to prepare, with what the dataset knows of it. */
export interface PrepareRequest {
  path: string;
  bytes: number;
  /** ms */
  mtime: number;
}
export type PrepareResult = Pixels | { fault: 'gone' | 'changed' | 'unreadable'; why: string };

sharp.cache(false);
sharp.concurrency(1);

const { size, memory } = workerData as { size: number; memory: SharedArrayBuffer };
shareMemory(memory);

async function prepare({ path, bytes, mtime }: PrepareRequest): Promise<PrepareResult> {
  try {
    const now = await stat(onDisk(path));
    if (now.size !== bytes || Math.trunc(now.mtimeMs) !== mtime)
      return { fault: 'changed', why: `${path} has changed since it was imported.` };
    const decode = await openImage(path);
    const { data, width, height } = downsized(await decode(), size);
    // Its memory goes over to who asked; what sharp made stays with sharp, and must be copied.
    return { width, height, data: Buffer.isBuffer(data) ? new Uint8Array(data) : data };
  } catch (error) {
    const { code } = ((error as Error).cause ?? error) as NodeJS.ErrnoException;
    const why = error instanceof AppError ? `${error.message} ${error.why}` : (error as Error).message;
    return { fault: code === 'ENOENT' ? 'gone' : 'unreadable', why };
  }
}

answerFiles(2, prepare, (result) => ('data' in result ? [result.data.buffer as ArrayBuffer] : []));
