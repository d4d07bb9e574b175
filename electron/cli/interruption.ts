import { constants } from 'node:os';
import { AppError } from '../../shared/errors.ts';
import type { Output } from './output.ts';

/** What asks a command to end: Ctrl-C, `docker stop` and the like, a terminal that closes. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** A command that still runs so long after the signal, ms, is ended by force: what it has stored is whole at any moment. */
const GRACE = 3000;
/** The same Ctrl-C may come by several ways; a person who means it twice takes longer, ms. */
const SAME = 300;

/**
 * Ends a command when a signal asks for it: by its `AbortSignal` at first, then by force if it does not react. In a
 * container, where it is process 1, nothing else would: there a signal without a listener does nothing.
 */
class Interruption {
  readonly #controller = new AbortController();
  #by: (typeof SIGNALS)[number] = 'SIGINT';
  #at = 0;
  #waiting = 0;
  #timer: NodeJS.Timeout | null = null;
  #out: Output | null = null;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The exit code by which shells tell that a signal ended a program. */
  get exitCode(): number {
    return 128 + constants.signals[this.#by];
  }

  listen(out: Output): void {
    this.#out = out;
    for (const signal of SIGNALS) {
      // The listener is never removed and added again: a signal in between would be lost.
      if (!process.listeners(signal).includes(this.#hear)) process.on(signal, this.#hear);
    }
  }

  /** The command has ended. */
  close(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    for (const signal of SIGNALS) process.removeListener(signal, this.#hear);
  }

  /** From here until `hurry`, work ends by itself and is not ended by force. */
  wait(): void {
    this.#waiting++;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  hurry(): void {
    this.#waiting--;
    if (this.signal.aborted) this.#startTimer();
  }

  readonly #hear = (signal: NodeJS.Signals) => {
    if (!this.signal.aborted) {
      this.#by = signal as (typeof SIGNALS)[number];
      this.#at = performance.now();
      this.#controller.abort();
      this.#startTimer();
    } else if (signal === 'SIGINT' && performance.now() - this.#at > SAME) {
      process.exit(this.exitCode); // a second time: at once; a run's own process sees it, and saves
    }
  };

  #startTimer() {
    if (this.#waiting > 0) return;
    this.#timer ??= setTimeout(() => {
      this.#out?.error(new AppError('canceled', 'It was canceled.'));
      process.exit(this.exitCode);
    }, GRACE);
  }
}

/** The one of this process. */
export const interruption = new Interruption();
