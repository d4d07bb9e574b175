/** An answer that follows what is asked; the newest counts. */
export interface Latest<R> {
  readonly view: R | undefined;
  readonly error: Error | undefined;
  readonly isAsking: boolean;
  again(): void;
}

/** While a pointer is dragged, what it passed is not asked. */
const SETTLE_MS = 80;

/**
 * Call it while a component is made.
 * @param ask may read state; null asks nothing, and shows nothing
 * @param send how it is asked; where that takes several questions, each may be left out once this is not the newest
 */
export function latest<I, R>(ask: () => I | null, send: (input: I, isNewest: () => boolean) => Promise<R>): Latest<R> {
  let view = $state.raw<R>();
  let error = $state.raw<Error>();
  let isAsking = $state(false);
  let repeats = $state(0);
  let turn = 0;
  $effect(() => {
    void repeats;
    const input = ask();
    const mine = ++turn;
    isAsking = input !== null;
    if (input === null) {
      view = undefined;
      error = undefined;
      return undefined;
    }
    const timer = setTimeout(async () => {
      try {
        const got = await send(input, () => mine === turn);
        if (mine !== turn) return; // something newer was asked
        view = got;
        error = undefined;
      } catch (thrown) {
        if (mine === turn) error = thrown as Error;
      } finally {
        if (mine === turn) isAsking = false;
      }
    }, SETTLE_MS);
    return () => clearTimeout(timer);
  });
  return {
    get view() {
      return view;
    },
    get error() {
      return error;
    },
    get isAsking() {
      return isAsking;
    },
    again: () => repeats++,
  };
}
