import type { ChildProcess } from 'node:child_process';
import type {
  AttentionView,
  ColoursView,
  Input,
  LookupView,
  RetrievalView,
  TravelView,
} from '../../../shared/contract/index.ts';
import { AppError, type ErrorReport, fromReport } from '../../../shared/errors.ts';
import { workerFile } from '../../files/project.ts';
import { startProcess } from '../../processes/start-process.ts';
import type { JobOptions } from '../ground/jobs.ts';

export type ExploreAsk =
  | { kind: 'lookup'; input: Input<'explore.lookup'> }
  | { kind: 'accuracy'; input: Input<'explore.accuracy'> }
  | { kind: 'retrieve'; input: Input<'retrieval.search'> }
  | { kind: 'travel'; input: Input<'travel.ask'> }
  | { kind: 'colours'; input: Input<'explore.colours'> }
  | { kind: 'attention'; input: Input<'explore.attention'> }
  | { kind: 'map'; input: Input<'explore.map-compute'> };
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

  colours(input: Input<'explore.colours'>): Promise<ColoursView> {
    return this.#ask({ kind: 'colours', input }) as Promise<ColoursView>;
  }

  attention(input: Input<'explore.attention'>): Promise<AttentionView> {
    return this.#ask({ kind: 'attention', input }) as Promise<AttentionView>;
  }

  accuracy(input: Input<'explore.accuracy'>, options: JobOptions): Promise<unknown> {
    return this.#apart({ kind: 'accuracy', input }, options);
  }

  map(input: Input<'explore.map-compute'>, options: JobOptions): Promise<unknown> {
    return this.#apart({ kind: 'map', input }, options);
  }

  /** In a process of its own, which cancelling ends. */
  async #apart(ask: ExploreAsk, { signal, onProgress }: JobOptions): Promise<unknown> {
    const own = new ExploreHost(this.#database);
    const cancel = () => own.close();
    signal?.addEventListener('abort', cancel);
    try {
      return await own.#ask(ask, onProgress);
    } finally {
      signal?.removeEventListener('abort', cancel);
      own.close();
    }
  }

  close(): void {
    if (this.#idle) clearTimeout(this.#idle);
    const child = this.#child;
    if (!child) return;
    this.#lose(child, 'It was ended.'); // at once: one whose disk hangs may not end
    child.kill('SIGKILL');
  }

  #lose(child: ChildProcess, why: string): void {
    if (child !== this.#child) return;
    this.#child = null;
    for (const { reject } of this.#waiting.values())
      reject(new AppError('trainer-died', 'The process that answers ended.', why, 'Ask again; it is started anew.'));
    this.#waiting.clear();
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
    const worker = workerFile('explore');
    const child = startProcess(worker, [this.#database], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
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
    child.once('close', (code, signal) =>
      this.#lose(child, `${signal ?? `Exit code ${code}`}; too little memory does this.`),
    );
    return child;
  }
}
