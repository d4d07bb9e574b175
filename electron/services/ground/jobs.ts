import type { RunConfig } from '../../../shared/config.ts';
import type { Input } from '../../../shared/contract/index.ts';
import { AppError, type ErrorReport, fromReport } from '../../../shared/errors.ts';
import type { RetrievalSpec } from '../../../shared/retrieval.ts';
import { workerFile } from '../../files/project.ts';
import { signalWords } from '../../processes/signals.ts';
import { startProcess } from '../../processes/start-process.ts';
import type { ImportOptions } from '../datasets/datasets.ts';
import type { PrepareOptions } from '../datasets/prepare.ts';
import type { EmbeddingOptions } from '../embeddings/embeddings.ts';
import type { EvaluateOptions } from '../evaluation/types.ts';
import type { ExportOptions } from '../export/export.ts';
import type { HealthOptions } from '../health/report.ts';

/**
 * Work that needs the engine, long holds the processor, or reads where a disk may hang, and so has a process of its own.
 */
export type Job =
  | { kind: 'estimate'; config: RunConfig; sizes: number[] }
  | { kind: 'doctor'; home: string }
  | { kind: 'check'; database: string }
  | { kind: 'evaluate'; database: string; options: Omit<EvaluateOptions, 'onProgress' | 'signal'> & { queued: number } }
  | { kind: 'health'; database: string; options: HealthOptions }
  | { kind: 'embeddings'; database: string; options: EmbeddingOptions }
  | { kind: 'export'; database: string; options: ExportOptions }
  | { kind: 'import'; database: string; options: ImportOptions }
  | { kind: 'rescan'; database: string; dataset: number }
  | { kind: 'prepare'; database: string; options: PrepareOptions }
  | { kind: 'export-weights'; database: string; options: WeightsExport }
  | { kind: 'import-weights'; database: string; input: Input<'weights.import'> }
  | { kind: 'probes'; database: string; run: number }
  | { kind: 'index'; database: string; spec: RetrievalSpec }
  | { kind: 'travel'; database: string; input: Input<'travel.build'> }
  | { kind: 'map'; database: string; input: Input<'explore.map'> };

export interface WeightsExport {
  checkpoint: number;
  file: string;
  part: 'student' | 'teacher';
  replace: boolean;
}

export type JobMessage =
  | { type: 'progress'; done: number; total: number; phase: string }
  | { type: 'result'; value: unknown }
  | { type: 'error'; error: ErrorReport };

export interface JobOptions {
  onProgress?: (done: number, total: number, phase: string) => void;
  signal?: AbortSignal;
}

/** Does a job to its end. @throws AppError as the work throws; canceled; trainer-died where its process is lost */
export async function runJob<T>(job: Job, { onProgress, signal }: JobOptions = {}): Promise<T> {
  const worker = workerFile('job');
  if (signal?.aborted) throw new AppError('canceled', 'It was canceled.');
  const child = startProcess(worker, [], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  return new Promise<T>((resolve, reject) => {
    const cancel = () => {
      child.kill('SIGKILL');
      reject(new AppError('canceled', 'It was canceled.')); // one whose disk hangs may not end
    };
    signal?.addEventListener('abort', cancel);
    child.on('message', (message: JobMessage) => {
      if (message.type === 'progress') onProgress?.(message.done, message.total, message.phase);
      else if (message.type === 'result') resolve(message.value as T);
      else reject(fromReport(message.error));
    });
    child.once('close', (code, ended) => {
      signal?.removeEventListener('abort', cancel);
      const why = ended ? signalWords(ended) : `Exit code ${code}.`;
      const next = 'Do it again; if memory ran out, with a smaller model or batch.';
      reject(new AppError('trainer-died', 'The process ended without a word.', why, next));
    });
    child.send(job, () => {}); // a process that is gone already says so by closing
  });
}
