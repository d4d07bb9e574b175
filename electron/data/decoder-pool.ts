import type { ChildProcess } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { AppError, fromReport } from '../../shared/errors.ts';
import { sourceFile } from '../files/project.ts';
import { startProcess } from '../processes/start-process.ts';
import type { DecoderJob, DecoderMessage, DecoderRequest, DecoderResults } from './decoder-process.ts';
import { ImageFault } from './image-fault.ts';
import { DecodeMemory } from './memory.ts';

const PROCESS = fileURLToPath(sourceFile('./decoder-process', import.meta.url));
/** Jobs that a process has in hand: it reads the next file while it decodes one. */
const AHEAD = 2;
/** Idle processes are ended after this time, ms. */
const IDLE = 60_000;

interface Pending {
  job: DecoderJob;
  resolve: (value: never) => void;
  reject: (error: unknown) => void;
}
interface Decoder {
  child: ChildProcess;
  /** Unanswered jobs, by number. */
  open: Map<number, Pending>;
  /** Functions that give memory back, by the number of the request for it. */
  taken: Map<number, () => void>;
}

/**
 * Decodes images in other processes, so that an image that takes all memory, or crashes its decoder, kills only one of
 * those. Every image that such a process had in hand is then decoded again, alone: one that kills its process even so is at
 * fault, and an `ImageFault` says how. No `AskedProcess`: what decodes asks in turn, for the memory that an image takes.
 */
export class DecoderPool {
  readonly #processes: number;
  readonly #decoders = new Set<Decoder>();
  /** Processes that get a single image and nothing beside it. */
  readonly #lonely = new Set<Decoder>();
  readonly #queue: Pending[] = [];
  readonly #memory = new DecodeMemory();
  #suspects: Promise<unknown> = Promise.resolve();
  #jobs = 0;
  #idle: NodeJS.Timeout | null = null;
  #closed = false;

  /** @param processes at most; default one for each core, and eight */
  constructor(processes = Math.min(availableParallelism(), 8)) {
    this.#processes = Math.max(1, processes);
  }

  /** Jobs that it can have in hand. */
  get room(): number {
    return this.#processes * AHEAD;
  }

  /** @throws AppError as the job throws; canceled after `close`. @throws ImageFault where an image ended its process */
  run<J extends DecoderJob>(job: J, { first = false } = {}): Promise<DecoderResults[J['kind']]> {
    if (this.#closed) return Promise.reject(canceled());
    return new Promise((resolve, reject) => {
      const pending: Pending = { job, resolve, reject };
      if (first) this.#queue.unshift(pending);
      else this.#queue.push(pending);
      this.#dispatch();
    });
  }

  /** Ends all processes; what is open is canceled. */
  close(): void {
    this.#closed = true;
    for (const { reject } of this.#queue.splice(0)) reject(canceled());
    this.#endAll();
  }

  #endAll(): void {
    if (this.#idle) clearTimeout(this.#idle);
    for (const { child } of [...this.#decoders, ...this.#lonely]) child.kill('SIGKILL');
  }

  #dispatch(): void {
    if (this.#idle) clearTimeout(this.#idle);
    while (this.#queue.length > 0) {
      let free: Decoder | null;
      try {
        free = this.#free();
      } catch (error) {
        this.#queue.shift()!.reject(error);
        continue;
      }
      if (!free) return;
      this.#give(free, this.#queue.shift()!);
    }
    if ([...this.#decoders].every(({ open }) => open.size === 0)) {
      this.#idle = setTimeout(() => this.#endAll(), IDLE);
      this.#idle.unref();
    }
  }

  /** @throws AppError where another process is needed and cannot be started */
  #free(): Decoder | null {
    const least = [...this.#decoders].sort((a, b) => a.open.size - b.open.size)[0];
    if (least && least.open.size === 0) return least;
    if (this.#decoders.size < this.#processes) {
      const decoder = this.#start((lost) => {
        // It is not known which image killed the process: each is tried alone.
        for (const pending of lost) this.#suspects = this.#suspects.then(() => this.#alone(pending));
        this.#dispatch();
      });
      this.#decoders.add(decoder);
      return decoder;
    }
    return least && least.open.size < AHEAD ? least : null;
  }

  #give(decoder: Decoder, pending: Pending): void {
    const id = ++this.#jobs;
    decoder.open.set(id, pending);
    decoder.child.channel?.ref(); // who waits for the answer is not ended by there being nothing else to do
    decoder.child.send({ type: 'job', id, job: pending.job } satisfies DecoderRequest, () => {}); // lost: it closes
  }

  /** Decodes with all memory, in a process of its own. */
  async #alone(pending: Pending): Promise<void> {
    if (this.#closed) return pending.reject(canceled());
    const give = await this.#memory.take(Number.MAX_SAFE_INTEGER);
    await new Promise<void>((resolve) => {
      const settle =
        <T>(act: (value: T) => void) =>
        (value: T) => {
          act(value);
          decoder?.child.kill('SIGKILL');
          resolve();
        };
      const own: Pending = { job: pending.job, resolve: settle(pending.resolve), reject: settle(pending.reject) };
      let decoder: Decoder | undefined;
      try {
        decoder = this.#start((lost, end) => {
          if (lost.length > 0) own.reject(this.#closed ? canceled() : endedBy(end));
          resolve();
        }, true);
      } catch (error) {
        return own.reject(error);
      }
      this.#lonely.add(decoder);
      this.#give(decoder, own);
    });
    give();
  }

  /**
   * @param ended told what was in hand, and how the process ended @param isAlone all memory is its own
   * @throws AppError where no process can be started
   */
  #start(ended: (lost: Pending[], why: string) => void, isAlone = false): Decoder {
    const child = startProcess(PROCESS, [], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      serialization: 'advanced',
    });
    const decoder: Decoder = { child, open: new Map(), taken: new Map() };
    child.unref();
    child.channel?.unref();
    const hold = () => (decoder.open.size > 0 ? child.channel?.ref() : child.channel?.unref());
    child.on('message', (message: DecoderMessage) => {
      if (message.type === 'take') return void this.#take(decoder, message.ask, isAlone ? 0 : message.need);
      if (message.type === 'give') {
        decoder.taken.get(message.ask)?.();
        decoder.taken.delete(message.ask);
        return;
      }
      const pending = decoder.open.get(message.id);
      decoder.open.delete(message.id);
      hold();
      if (message.type === 'result') pending?.resolve(message.value as never);
      else pending?.reject(fromReport(message.error));
      if (!isAlone) this.#dispatch();
    });
    child.once('close', (code, signal) => {
      this.#decoders.delete(decoder);
      this.#lonely.delete(decoder);
      for (const give of decoder.taken.values()) give();
      const lost = [...decoder.open.values()];
      decoder.open.clear();
      if (this.#closed) for (const { reject } of lost) reject(canceled());
      ended(this.#closed ? [] : lost, signal ?? `exit code ${code}`);
    });
    return decoder;
  }

  async #take(decoder: Decoder, ask: number, need: number): Promise<void> {
    const give = await this.#memory.take(need);
    if (!this.#decoders.has(decoder) && !this.#lonely.has(decoder)) return give(); // it ended meanwhile
    decoder.taken.set(ask, give);
    decoder.child.send({ type: 'memory', ask } satisfies DecoderRequest, () => {});
  }
}

const canceled = () => new AppError('canceled', 'Decoding of images was ended.');

/** The fault of an image that killed a process in which it was alone. */
const endedBy = (why: string) =>
  why === 'SIGKILL' || why === 'SIGABRT' || why.startsWith('exit code')
    ? new ImageFault('too-large', `it needs too much memory: the process that decoded it was ended (${why})`)
    : new ImageFault('unreadable', `its decoder broke on it (${why})`);
