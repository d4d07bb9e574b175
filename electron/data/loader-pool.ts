import { Worker } from 'node:worker_threads';
import { AppError } from '../../shared/errors.ts';
import { sourceFile } from '../files/project.ts';
import type { ViewFailure, WorkerReply, WorkerRequest } from './loader-worker.ts';
import { DecodeMemory } from './memory.ts';

/**
 * Threads that decode and augment. Each answers its requests in order; where one dies, or the pool is closed, every
 * request that is open and every later one is rejected, so that nobody waits for ever.
 */
export class ViewPool {
  readonly #workers: Worker[];
  readonly #open = new Map<number, PromiseWithResolvers<ViewFailure[]>>();
  #tickets = 0;
  #ended: Error | null = null;

  /** @param onDamaged is told paths of images whose prepared pixels were damaged */
  constructor(threads: number, onDamaged: (paths: string[]) => void = () => {}) {
    const memory = new DecodeMemory().shared;
    this.#workers = Array.from({ length: threads }, () => {
      const worker = new Worker(sourceFile('./loader-worker', import.meta.url), { workerData: { memory } });
      worker.on('message', ({ ticket, failures, damaged }: WorkerReply) => {
        if (damaged.length > 0) onDamaged(damaged);
        this.#open.get(ticket)?.resolve(failures);
        this.#open.delete(ticket);
      });
      worker.on('error', (error) => this.#end(died(error.message, error)));
      worker.on('exit', (code) => this.#end(died(`It ended with code ${code}.`)));
      return worker;
    });
  }

  get size(): number {
    return this.#workers.length;
  }

  /** Has a thread prepare views, into the request's buffers; resolves with the tasks that failed. */
  send(thread: number, request: Omit<WorkerRequest, 'ticket'>): Promise<ViewFailure[]> {
    if (this.#ended) return Promise.reject(this.#ended);
    const ticket = ++this.#tickets;
    const answer = Promise.withResolvers<ViewFailure[]>();
    this.#open.set(ticket, answer);
    this.#workers[thread]!.postMessage({ ...request, ticket } satisfies WorkerRequest);
    return answer.promise;
  }

  /** Ends the threads; resolves when they are gone. */
  async close(): Promise<void> {
    this.#end(new AppError('canceled', 'Loading of images was ended.'));
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#open.values()) reject(this.#ended);
    this.#open.clear();
  }
}

const died = (why: string, cause?: Error) =>
  new AppError('internal', 'A thread that loads images died.', why, 'Resume the run.', { cause });
