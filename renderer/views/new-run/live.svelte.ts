/** A question is asked so long after it changed, ms: a slider gives many a second. */
const DELAY = 60;
const SLOW = 300;

/**
 * Asks again whenever its question changes: one at a time, and always the last, so that answers come in order and the
 * program is not flooded. The last answer stays until the next.
 */
export class Live<I, R> {
  answer = $state.raw<R | null>(null);
  /** The question that `answer` belongs to. */
  asked = $state.raw<I | null>(null);
  error = $state.raw<Error | null>(null);
  /** An answer is late. */
  slow = $state(false);
  readonly #act: (input: I) => Promise<R>;
  #next: { input: I } | null = null;
  #last: I | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running = false;
  #ended = false;

  constructor(act: (input: I) => Promise<R>) {
    this.#act = act;
  }

  ask(input: I): void {
    this.#next = { input };
    this.#last = input;
    if (!this.#running) this.#timer ??= setTimeout(() => void this.#run(), DELAY);
  }

  again = (): void => {
    if (this.#last !== null) this.ask(this.#last);
  };

  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  async #run() {
    this.#timer = undefined;
    this.#running = true;
    while (this.#next && !this.#ended) {
      const { input } = this.#next;
      this.#next = null;
      const late = setTimeout(() => {
        this.slow = true;
      }, SLOW);
      try {
        this.answer = await this.#act(input);
        this.asked = input;
        this.error = null;
      } catch (error) {
        this.error = error as Error;
      }
      clearTimeout(late);
    }
    this.#running = false;
    this.slow = false;
  }
}
