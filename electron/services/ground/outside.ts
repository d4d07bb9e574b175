import type { ChildProcess } from 'node:child_process';
import { dirname, sep } from 'node:path';
import type { FolderListing } from '../../../shared/contract/window.ts';
import { AppError, type ErrorReport, fromReport } from '../../../shared/errors.ts';
import type { OutputRules } from '../../files/outputs.ts';
import { workerFile } from '../../files/project.ts';
import { fileIn } from '../../files/typed-path.ts';
import { startProcess } from '../../processes/start-process.ts';

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

interface Works {
  look: Look;
  content: Content | null;
  list: Entries;
  make: null;
  output: string;
}
export type OutsideWork = keyof Works;
export interface OutsideRequest {
  id: number;
  work: OutsideWork;
  path: string;
  rules?: OutputRules | undefined;
}
export type OutsideMessage =
  | { id: number; value: unknown }
  | { id: number; fault: { code: string; text: string } }
  | { id: number; error: ErrorReport };

/** A file system that has said nothing for so long hangs, ms. Reading a whole file may take longer. */
const PATIENCE = { look: 5000, list: 10_000, make: 5000, output: 5000, content: 60_000 };
/** A folder that hung is not asked again for so long, ms, nor while the process that asked it cannot be ended. */
const SHUNNED = 10_000;
/** Works under way at a time, each of which may hold a thread. */
const AT_ONCE = 32;

interface Pending {
  work: OutsideWork;
  path: string;
  /** What is taken to hang with it. */
  root: string;
  rules?: OutputRules | undefined;
  resolve: (value: never) => void;
  reject: (error: unknown) => void;
  timer?: NodeJS.Timeout;
}

/**
 * Looks at paths that a person named, in a process of its own: a network drive that hangs would else hold a thread of
 * this one for each look, of which there are four, and all else with them. A folder that hangs is an error of the call,
 * its process is ended, and what else was asked is asked again of another.
 */
export class Outside {
  readonly #patience: Record<OutsideWork, number>;
  readonly #program: string;
  #child: ChildProcess | null = null;
  #isReady = false;
  #next = 1;
  readonly #open = new Map<number, Pending>();
  #queue: Pending[] = [];
  /** Folders that hung: the process that asked, and when they may be asked again. */
  readonly #hung = new Map<string, { child: ChildProcess; until: number }>();
  #closed = false;

  constructor(options: { patience?: Partial<Record<OutsideWork, number>>; program?: string } = {}) {
    this.#patience = { ...PATIENCE, ...options.patience };
    this.#program = options.program ?? workerFile('outside');
  }

  /** What is at a path, through links. @param root the folder that hangs with it @throws AppError */
  look(path: string, root = path): Promise<Look> {
    return this.#ask('look', path, root);
  }

  /** Null for what is no file. @throws AppError */
  content(path: string, root = path): Promise<Content | null> {
    return this.#ask('content', path, root);
  }

  /** @throws AppError */
  list(path: string): Promise<Entries> {
    return this.#ask('list', path, path);
  }

  /** Makes a folder, and those above it. @throws AppError */
  async make(path: string): Promise<void> {
    await this.#ask('make', path, path);
  }

  /** `requireOutput`, of a file whose folder is made. @throws AppError */
  async output(path: string, rules: OutputRules): Promise<string> {
    await this.make(dirname(path));
    return this.#ask('output', path, dirname(path), rules);
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
    this.#closed = true;
    this.#fail(new AppError('canceled', 'The program is being closed.'));
    this.#child?.kill('SIGKILL');
  }

  #ask<W extends OutsideWork>(work: W, path: string, root: string, rules?: OutputRules): Promise<Works[W]> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new AppError('canceled', 'The program is being closed.'));
      if (path.includes('\0')) return reject(new AppError('bad-input', 'A path cannot hold the character NUL.'));
      const shunned = this.#shunned(path);
      if (shunned) return reject(new Silence(shunned));
      this.#queue.push({ work, path, root, rules, resolve, reject });
      this.#dispatch();
    });
  }

  #shunned(path: string): string | null {
    for (const [root, { child, until }] of this.#hung) {
      const isOver = performance.now() > until && (child.exitCode !== null || child.signalCode !== null);
      if (isOver) this.#hung.delete(root);
      else if (path === root || path.startsWith(root.endsWith(sep) ? root : root + sep)) return root;
    }
    return null;
  }

  #dispatch(): void {
    if (this.#queue.length === 0) return;
    try {
      this.#child ??= this.#start();
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (!this.#isReady) return;
    const child = this.#child;
    while (this.#queue.length > 0 && this.#open.size < AT_ONCE) {
      const pending = this.#queue.shift()!;
      const shunned = this.#shunned(pending.path);
      if (shunned) {
        pending.reject(new Silence(shunned));
        continue;
      }
      const id = this.#next++;
      this.#open.set(id, pending);
      pending.timer = setTimeout(() => this.#hang(id, child), this.#patience[pending.work]);
      const { work, path, rules } = pending;
      child.send({ id, work, path, rules } satisfies OutsideRequest, () => {});
    }
    // Whoever waits for an answer is not ended by there being nothing else to do.
    if (this.#open.size > 0) child.channel?.ref();
    else child.channel?.unref();
  }

  /** One that says nothing: its process goes, with the thread that it holds. */
  #hang(id: number, child: ChildProcess): void {
    const pending = this.#open.get(id);
    if (!pending) return;
    this.#open.delete(id);
    this.#hung.set(pending.root, { child, until: performance.now() + SHUNNED });
    pending.reject(new Silence(pending.root));
    this.#lose(child);
    child.kill('SIGKILL');
  }

  /** What was asked of a process that is gone is asked again: looking changes nothing, nor does making a folder twice. */
  #lose(child: ChildProcess): void {
    if (this.#child !== child) return;
    this.#child = null;
    this.#isReady = false;
    const again = [...this.#open.values()];
    this.#open.clear();
    for (const { timer } of again) clearTimeout(timer);
    this.#queue = [...again, ...this.#queue];
    this.#dispatch();
  }

  #fail(error: unknown): void {
    const all = [...this.#open.values(), ...this.#queue];
    this.#open.clear();
    this.#queue = [];
    for (const { timer, reject } of all) {
      clearTimeout(timer);
      reject(error);
    }
  }

  #start(): ChildProcess {
    const child = startProcess(this.#program, [], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      env: { ...process.env, UV_THREADPOOL_SIZE: String(2 * AT_ONCE) },
    });
    child.unref();
    child.on('message', (message: OutsideMessage) => {
      if (child !== this.#child) return;
      if (message.id === 0) {
        this.#isReady = true;
      } else {
        const pending = this.#open.get(message.id);
        if (!pending) return;
        this.#open.delete(message.id);
        clearTimeout(pending.timer);
        if ('value' in message) pending.resolve(message.value as never);
        else if ('error' in message) pending.reject(fromReport(message.error));
        else pending.reject(refused(pending, message.fault));
      }
      this.#dispatch();
    });
    // No process can be started, or it ended by itself: that is an error of what was asked, and of nothing else.
    const end = (why: string) => {
      if (child !== this.#child) return;
      this.#child = null;
      this.#isReady = false;
      this.#fail(
        new AppError(
          'internal',
          'The process that looks at folders was lost.',
          why,
          'Close other programs, try again.',
        ),
      );
    };
    child.once('close', (code, signal) => end(`${signal ?? `Exit code ${code}`}.`));
    return child;
  }
}

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

function refused({ work, path }: Pending, { code, text }: { code: string; text: string }): AppError {
  const isClosed = code === 'EACCES' || code === 'EPERM';
  const what = work === 'make' ? 'cannot be made' : work === 'list' ? 'cannot be listed' : 'cannot be looked at';
  const next = `Choose another one${isClosed ? ', or change its permissions' : ''}.`;
  return new AppError('bad-input', `${path} ${what}.`, `${text}.`, next);
}
