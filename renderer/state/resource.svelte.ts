import type { AppEvent } from '../../shared/contract/events.ts';
import { on } from '../api.ts';

/** Something asked of the program, that is asked again when events say that it has changed. */
export interface Resource<T> {
  readonly value: T | undefined;
  readonly error: Error | undefined;
  reload(): Promise<void>;
}

/**
 * Asks at once, and again at each of the events; the newest answer counts. Call it while a component is made.
 * @param ask may read state: when that changes it is asked again
 * @param matches which events of these types concern it
 */
export function resource<T>(
  ask: () => Promise<T>,
  events: AppEvent['type'][] = [],
  matches: (event: AppEvent) => boolean = () => true,
): Resource<T> {
  let value = $state.raw<T>();
  let error = $state.raw<Error>();
  let asked = 0;
  async function load(answer: Promise<T>) {
    const turn = ++asked;
    try {
      const got = await answer;
      if (turn !== asked) return;
      value = got;
      error = undefined;
    } catch (thrown) {
      if (turn === asked) error = thrown as Error;
    }
  }
  $effect(() => {
    void load(ask());
  });
  $effect(() => {
    const ends = [...events, 'resync' as const].map((type) =>
      on(type, (event) => {
        if (event.type === 'resync' || matches(event)) void load(ask());
      }),
    );
    return () => {
      for (const end of ends) end();
    };
  });
  return {
    get value() {
      return value;
    },
    get error() {
      return error;
    },
    reload: () => load(ask()),
  };
}
