import type { ChildProcess } from 'node:child_process';
import { AppError, type ErrorReport, fromReport } from '../../shared/errors.ts';
import { endWords } from './signals.ts';
import { startProcess } from './start-process.ts';

/**
 * How a process of this program is asked, and answers (`answer` is the other side). A process may have many questions
 * open. Questions are a map of their kinds: what each takes, and what it gives.
 */
export type QuestionsOf<Q> = { [K in keyof Q]: [input: unknown, result: unknown] };
export type Progress = (done: number, total: number, phase: string) => void;

export interface Question {
  id: number;
  kind: string;
  input: unknown;
}
export type Reply =
  /** It listens. */
  | { type: 'ready' }
  | { type: 'progress'; id: number; done: number; total: number; phase: string }
  | { type: 'result'; id: number; value: unknown }
  | { type: 'error'; id: number; error: ErrorReport };

export interface ProcessOptions {
  /** What it does, after "The process that". */
  does: string;
  /** What a person does where it ended without an answer. */
  next: string;
  env?: NodeJS.ProcessEnv;
}

interface Open {
  resolve: (value: never) => void;
  reject: (error: unknown) => void;
  onProgress: Progress | undefined;
}

/** Of this process: one that hangs would outlive it. */
const living = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});

/** A process that answers questions until it is ended. It keeps this one alive only while a question is open. */
export class AskedProcess<Q extends QuestionsOf<Q>> {
  readonly #child: ChildProcess;
  readonly #open = new Map<number, Open>();
  readonly #ready = Promise.withResolvers<void>();
  #next = 1;
  /** Why it can answer no more. */
  #ended: unknown = null;
  #isGone = false;
  /** Called with every word that it says. */
  onWord: () => void = () => {};

  /** @throws AppError where no process can be started */
  constructor(program: string, args: string[], { does, next, env }: ProcessOptions) {
    const child = startProcess(program, args, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'], ...(env && { env }) });
    this.#child = child;
    living.add(child);
    child.unref();
    child.channel?.unref();
    child.on('message', (reply: Reply) => this.#hear(reply));
    child.once('close', (code, signal) => {
      living.delete(child);
      this.#isGone = true;
      const what = `The process that ${does} ended without a word.`;
      this.#fail(new AppError('trainer-died', what, endWords(code, signal), next));
    });
  }

  /** Resolves when it listens, or never will. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Questions that have no answer yet. */
  get open(): number {
    return this.#open.size;
  }

  /** It can be asked no more, though its process may not have gone yet. */
  get isEnded(): boolean {
    return this.#ended !== null;
  }

  /** The system has no process of it any more. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** @throws AppError as the work throws; trainer-died where its process is lost; what `end` was given */
  ask<K extends keyof Q & string>(kind: K, input: Q[K][0], onProgress?: Progress): Promise<Q[K][1]> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) return reject(this.#ended);
      const id = this.#next++;
      this.#open.set(id, { resolve, reject, onProgress });
      this.#child.channel?.ref();
      this.#child.send({ id, kind, input } satisfies Question, () => {}); // one that is gone says so by closing
    });
  }

  /** Ends it. What is open fails with this at once: a process whose disk hangs may not end. */
  end(error: unknown): void {
    this.#fail(error);
    this.#child.kill('SIGKILL');
  }

  #hear(reply: Reply): void {
    this.onWord();
    if (reply.type === 'ready') {
      this.#ready.resolve();
      return;
    }
    const open = this.#open.get(reply.id);
    if (!open) return;
    if (reply.type === 'progress') {
      open.onProgress?.(reply.done, reply.total, reply.phase);
      return;
    }
    this.#open.delete(reply.id);
    if (this.#open.size === 0) this.#child.channel?.unref();
    if (reply.type === 'result') open.resolve(reply.value as never);
    else open.reject(fromReport(reply.error));
  }

  #fail(error: unknown): void {
    this.#ended ??= error;
    this.#ready.resolve();
    for (const { reject } of this.#open.values()) reject(error);
    this.#open.clear();
    this.#child.channel?.unref();
  }
}

/**
 * Asks a process of its own one question; cancelling ends it.
 * @param options.patience what has said nothing for so long hangs, and is ended, ms
 * @throws AppError as the work throws; canceled; trainer-died where its process hangs or is lost
 */
export async function askProcess<Q extends QuestionsOf<Q>, K extends keyof Q & string>(
  program: string,
  args: string[],
  kind: K,
  input: Q[K][0],
  {
    signal,
    onProgress,
    patience,
    ...options
  }: ProcessOptions & { signal?: AbortSignal | undefined; onProgress?: Progress | undefined; patience?: number },
): Promise<Q[K][1]> {
  const canceled = () => new AppError('canceled', 'It was canceled.');
  if (signal?.aborted) throw canceled();
  const asked = new AskedProcess<Q>(program, args, options);
  const cancel = () => asked.end(canceled());
  signal?.addEventListener('abort', cancel);
  let timer: NodeJS.Timeout | undefined;
  const wait = () => {
    clearTimeout(timer);
    if (patience === undefined) return;
    const hangs = `The process that ${options.does} said nothing for ${patience / 1000} s.`;
    timer = setTimeout(() => asked.end(new AppError('trainer-died', hangs, 'It hangs.', options.next)), patience);
  };
  asked.onWord = wait;
  wait();
  try {
    return await asked.ask(kind, input, onProgress);
  } finally {
    clearTimeout(timer);
    asked.onWord = () => {};
    signal?.removeEventListener('abort', cancel);
    asked.end(canceled());
  }
}
