import { dirname, sep } from 'node:path';
import type { FolderListing } from '../../../shared/contract/window.ts';
import { AppError } from '../../../shared/errors.ts';
import type { OutputRules } from '../../files/outputs.ts';
import { workerFile } from '../../files/project.ts';
import { fileIn } from '../../files/typed-path.ts';
import { AskedProcess } from '../../processes/asked-process.ts';

export interface Look {
  kind: 'file' | 'folder' | 'other' | 'none';
  bytes: number;
  /** Another one after every change of the file. */
  mark: string;
}
export interface Content {
  /** SHA-256, hexadecimal. */
  hash: string;
  /** As `Look` says it after the content was read. */
  mark: string;
}
export type Entries = Pick<FolderListing, 'folders' | 'weights' | 'images'>;

/** What the process that looks at paths is asked. */
export interface OutsideQuestions {
  look: [{ path: string }, Look];
  content: [{ path: string }, Content | null];
  list: [{ path: string }, Entries];
  make: [{ path: string }, null];
  output: [{ path: string; rules: OutputRules }, string];
}
export type OutsideWork = keyof OutsideQuestions;

/** A file system that has said nothing for so long hangs, ms. Reading a whole file may take longer. */
const PATIENCE = { look: 5000, list: 10_000, make: 5000, output: 5000, content: 60_000 };
/** A folder that hung is not asked again for so long, ms, nor while the process that asked it cannot be ended. */
const SHUNNED = 10_000;
/** Looks under way at a time, each of which may hold a thread. */
const AT_ONCE = 32;

/**
 * Looks at paths that a person named, in a process of its own. Here, each look at a network drive that hangs would hold
 * one of Node's four threads for files, and soon everything would wait. A folder that hangs becomes an error of its call;
 * the process is ended, and its other questions are asked again of a new one.
 */
export class Outside {
  readonly #patience: Record<OutsideWork, number>;
  readonly #program: string;
  readonly #slots = new Slots(AT_ONCE);
  #process: AskedProcess<OutsideQuestions> | null = null;
  /** Folders that hung: the process that asked, and when they may be asked again. */
  readonly #hung = new Map<string, { process: AskedProcess<OutsideQuestions>; until: number }>();
  #isClosed = false;

  constructor(options: { patience?: Partial<Record<OutsideWork, number>>; program?: string } = {}) {
    this.#patience = { ...PATIENCE, ...options.patience };
    this.#program = options.program ?? workerFile('outside');
  }

  /** What is at a path, through links. @param root the folder that hangs with it @throws AppError */
  look(path: string, root = path): Promise<Look> {
    return this.#ask('look', { path }, root);
  }

  /** Null for what is no file. @throws AppError */
  content(path: string, root = path): Promise<Content | null> {
    return this.#ask('content', { path }, root);
  }

  /** @throws AppError */
  list(path: string): Promise<Entries> {
    return this.#ask('list', { path }, path);
  }

  /** Makes a folder, and those above it. @throws AppError */
  async make(path: string): Promise<void> {
    await this.#ask('make', { path }, path);
  }

  /** `requireOutput`, of a file whose folder is made. @throws AppError */
  async output(path: string, rules: OutputRules): Promise<string> {
    await this.make(dirname(path));
    return this.#ask('output', { path, rules }, dirname(path));
  }

  /** The same of a file in a folder as a person typed it, with one ending. @returns its path @throws AppError */
  async outputIn(
    { folder, file, replace }: { folder: string; file: string; replace: boolean },
    ending: string,
    beside: (path: string) => string[] = () => [],
  ): Promise<string> {
    const path = fileIn(folder, file, ending);
    return this.output(path, { endings: [ending], beside: beside(path), replace });
  }

  close(): void {
    this.#isClosed = true;
    this.#process?.end(closing());
    this.#process = null;
  }

  async #ask<W extends OutsideWork>(
    work: W,
    input: OutsideQuestions[W][0],
    root: string,
  ): Promise<OutsideQuestions[W][1]> {
    if (input.path.includes('\0')) throw new AppError('bad-input', 'A path cannot hold the character NUL.');
    this.#requireAnswering(input.path);
    return this.#slots.hold(async () => {
      for (;;) {
        this.#requireAnswering(input.path);
        try {
          return await this.#askOnce(work, input, root);
        } catch (error) {
          // Another folder hung, and its process is gone. Looking changes nothing, nor does making a folder twice.
          if (!(error instanceof Gone)) throw error;
        }
      }
    });
  }

  async #askOnce<W extends OutsideWork>(work: W, input: OutsideQuestions[W][0], root: string) {
    if (this.#process?.isEnded) this.#process = null;
    this.#process ??= this.#start();
    const asked = this.#process;
    await asked.ready;
    const { promise: silence, reject } = Promise.withResolvers<never>();
    const hang = () => {
      this.#hung.set(root, { process: asked, until: performance.now() + SHUNNED });
      reject(new Silence(root));
      asked.end(new Gone('Another folder hung.')); // its process is ended, and with it the thread that hangs
    };
    const timer = setTimeout(hang, this.#patience[work]);
    try {
      return await Promise.race([silence, asked.ask(work, input)]);
    } finally {
      clearTimeout(timer);
    }
  }

  #requireAnswering(path: string): void {
    if (this.#isClosed) throw closing();
    for (const [root, { process, until }] of this.#hung) {
      if (performance.now() > until && process.isGone) this.#hung.delete(root);
      else if (path === root || path.startsWith(root.endsWith(sep) ? root : root + sep)) throw new Silence(root);
    }
  }

  #start(): AskedProcess<OutsideQuestions> {
    return new AskedProcess<OutsideQuestions>(this.#program, [], {
      env: { ...process.env, UV_THREADPOOL_SIZE: String(2 * AT_ONCE) },
      does: 'looks at folders',
      next: 'Close other programs, try again.',
    });
  }
}

/** Runs so many at a time; the others wait in their order. */
class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async hold<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

const closing = () => new AppError('canceled', 'The program is being closed.');

/** A question to a process that was ended because another folder hung. */
class Gone extends Error {}

/** The disk of what was asked for does not answer. */
class Silence extends AppError {
  constructor(root: string) {
    super(
      'not-found',
      `${root} does not answer.`,
      'Its disk has said nothing for some seconds, as a network drive does that is gone.',
      'Connect it again, or restart what serves it; then try again.',
    );
  }
}
export const isSilent = (error: unknown): boolean => error instanceof Silence;
