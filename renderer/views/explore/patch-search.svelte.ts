import type { Input, RetrievalView } from '../../../shared/ipc.ts';
import { call } from '../../api.ts';

/** A patch search that follows what is asked; the newest answer counts. */
export interface PatchSearch {
  readonly view: RetrievalView | undefined;
  readonly error: Error | undefined;
  readonly isAsking: boolean;
  again(): void;
}

/** While a pointer is dragged, what it passed is not asked. */
const SETTLE_MS = 80;

/** Call it while a component is made. @param ask may read state; null asks nothing, and shows nothing */
export function patchSearch(ask: () => Input<'retrieval.search'> | null): PatchSearch {
  let view = $state.raw<RetrievalView>();
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
        const got = await call('retrieval.search', input);
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
