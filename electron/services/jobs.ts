import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { RunConfig } from '../../shared/config.ts';
import type { RetrievalSpec } from '../../shared/domain.ts';
import { AppError, type ErrorReport, fromReport } from '../../shared/errors.ts';
import type { Input } from '../../shared/ipc.ts';
import { signalWords } from '../trainer/signals.ts';
import type { EmbeddingOptions } from './embeddings/embeddings.ts';
import type { EvaluateOptions } from './evaluation.ts';
import type { ExportOptions } from './export/export.ts';
import type { HealthOptions } from './health/report.ts';

/** Work that needs the engine, or long holds the processor, and so a process of its own. */
export type Job =
  | { kind: 'estimate'; config: RunConfig; sizes: number[] }
  | { kind: 'doctor'; home: string }
  | { kind: 'check'; database: string }
  | { kind: 'evaluate'; database: string; options: Omit<EvaluateOptions, 'onProgress' | 'signal'> & { queued: number } }
  | { kind: 'health'; database: string; options: HealthOptions }
  | { kind: 'embeddings'; database: string; options: EmbeddingOptions }
  | { kind: 'export'; database: string; options: ExportOptions }
  | { kind: 'import-weights'; database: string; input: Input<'weights.import'> }
  | { kind: 'probes'; database: string; run: number }
  | { kind: 'index'; database: string; spec: RetrievalSpec }
  | { kind: 'travel'; database: string; input: Input<'travel.build'> }
  | { kind: 'map'; database: string; input: Input<'explore.map'> };

export type JobMessage =
  | { type: 'progress'; done: number; total: number; phase: string }
  | { type: 'result'; value: unknown }
  | { type: 'error'; error: ErrorReport };

export interface JobOptions {
  onProgress?: (done: number, total: number, phase: string) => void;
  signal?: AbortSignal;
}

/** Does a job to its end. @throws AppError as the work throws; canceled; trainer-died where its process is lost */
export function runJob<T>(job: Job, { onProgress, signal }: JobOptions = {}): Promise<T> {
  if (signal?.aborted) return Promise.reject(new AppError('canceled', 'It was canceled.'));
  const worker = fileURLToPath(
    new URL(import.meta.url.endsWith('.ts') ? './job-worker.ts' : './job-worker.js', import.meta.url),
  );
  const child = fork(worker, [], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  const cancel = () => child.kill('SIGKILL');
  signal?.addEventListener('abort', cancel);
  return new Promise<T>((resolve, reject) => {
    child.on('message', (message: JobMessage) => {
      if (message.type === 'progress') onProgress?.(message.done, message.total, message.phase);
      else if (message.type === 'result') resolve(message.value as T);
      else reject(fromReport(message.error));
    });
    child.once('error', reject);
    child.once('close', (code, ended) => {
      signal?.removeEventListener('abort', cancel);
      if (signal?.aborted) reject(new AppError('canceled', 'It was canceled.'));
      const why = ended ? signalWords(ended) : `Exit code ${code}.`;
      const next = 'Do it again; if memory ran out, with a smaller model or batch.';
      reject(new AppError('trainer-died', 'The process ended without a word.', why, next));
    });
    child.send(job, () => {}); // a process that is gone already says so by closing
  });
}
