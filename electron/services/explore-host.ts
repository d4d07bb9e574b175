import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { AppError, type ErrorReport, fromReport } from '../../shared/errors.ts';
import type { Input, LookupView, RetrievalView, TravelView } from '../../shared/ipc.ts';
import type { JobOptions } from './jobs.ts';

export type ExploreAsk =
  | { kind: 'lookup'; input: Input<'explore.lookup'> }
  | { kind: 'accuracy'; input: Input<'explore.accuracy'> }
  | { kind: 'retrieve'; input: Input<'retrieval.search'> }
  | { kind: 'travel'; input: Input<'travel.ask'> };
export interface ExploreRequest {
  id: number;
  ask: ExploreAsk;
}
export type ExploreMessage = { id: number } & (
  | { type: 'progress'; done: number; total: number; phase: string }
  | { type: 'result'; value: unknown }
  | { type: 'error'; error: ErrorReport }
);

/** A process that nobody asks gives its memory back after so long, ms. */
const IDLE = 5 * 60_000;

interface Waiting {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
  onProgress?: JobOptions['onProgress'] | undefined;
}

/** Starts the process that answers when it is first asked, and again where it was lost. */
export class ExploreHost {
  readonly #database: string;
  #child: ChildProcess | null = null;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #idle: NodeJS.Timeout | null = null;

  constructor(database: string) {
    this.#database = database;
  }

  lookup(input: Input<'explore.lookup'>): Promise<LookupView> {
    return this.#ask({ kind: 'lookup', input }) as Promise<LookupView>;
  }

  retrieve(input: Input<'retrieval.search'>): Promise<RetrievalView> {
    return this.#ask({ kind: 'retrieve', input }) as Promise<RetrievalView>;
  }

  travel(input: Input<'travel.ask'>): Promise<TravelView> {
    return this.#ask({ kind: 'travel', input }) as Promise<TravelView>;
  }

  /** In a process of its own, which cancelling ends. */
  async accuracy(input: Input<'explore.accuracy'>, { signal, onProgress }: JobOptions): Promise<unknown> {
    const own = new ExploreHost(this.#database);
    const cancel = () => own.close();
    signal?.addEventListener('abort', cancel);
    try {
      return await own.#ask({ kind: 'accuracy', input }, onProgress);
    } finally {
      signal?.removeEventListener('abort', cancel);
      own.close();
    }
  }

  close(): void {
    if (this.#idle) clearTimeout(this.#idle);
    this.#child?.kill('SIGKILL');
  }

  #ask(ask: ExploreAsk, onProgress?: JobOptions['onProgress']): Promise<unknown> {
    this.#child ??= this.#start();
    const child = this.#child;
    if (this.#idle) clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#waiting.size === 0 && this.close(), IDLE);
    this.#idle.unref();
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject, onProgress });
      child.send({ id, ask } satisfies ExploreRequest, () => {});
    });
  }

  #start(): ChildProcess {
    const worker = fileURLToPath(
      new URL(import.meta.url.endsWith('.ts') ? './explore-worker.ts' : './explore-worker.js', import.meta.url),
    );
    const child = fork(worker, [this.#database], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    child.on('message', (message: ExploreMessage) => {
      const asked = this.#waiting.get(message.id);
      if (!asked) return;
      if (message.type === 'progress') {
        asked.onProgress?.(message.done, message.total, message.phase);
        return;
      }
      this.#waiting.delete(message.id);
      if (message.type === 'result') asked.resolve(message.value);
      else asked.reject(fromReport(message.error));
    });
    child.once('close', (code, signal) => {
      this.#child = null;
      const why = `${signal ?? `Exit code ${code}`}; too little memory does this.`;
      for (const { reject } of this.#waiting.values())
        reject(new AppError('trainer-died', 'The process that answers ended.', why, 'Ask again; it is started anew.'));
      this.#waiting.clear();
    });
    return child;
  }
}
