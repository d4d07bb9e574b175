import type { TaskKind, TaskRef } from '../../../shared/contract/started.ts';
import type { Task } from '../../../shared/contract/tasks.ts';
import { AppError } from '../../../shared/errors.ts';
import { call } from '../../api.ts';
import { finished, tasks } from '../../state/tasks.svelte.ts';
import { attempt } from '../../state/toasts.svelte.ts';

/** Tasks that this window asked for, by what they are of: another view and back shows the same progress. */
const making = $state<Record<string, string>>({});
/** What was pressed and has no task yet: a second press begins no second one. */
const pressed = new Set<string>();

/** What is made for a view, in a task. */
export interface Making {
  readonly isMaking: boolean;
  /** Undefined until the window has heard of it. */
  readonly task: Task | undefined;
  /** Of the last attempt, unless that was canceled. */
  readonly error: Error | undefined;
  make(): Promise<void>;
  cancel(): void;
}

/**
 * Call it while a component is made.
 * @param key what it is of; may read state
 * @param start starts it
 */
export function makingOf(key: () => string, start: () => Promise<TaskRef<TaskKind>>): Making {
  let error = $state.raw<Error>();
  $effect(() => {
    void key();
    error = undefined;
  });
  return {
    get isMaking() {
      return making[key()] !== undefined;
    },
    get task() {
      return tasks.find(({ id }) => id === making[key()]);
    },
    get error() {
      return error;
    },
    async make() {
      const mine = key();
      if (pressed.has(mine) || making[mine] !== undefined) return;
      pressed.add(mine);
      error = undefined;
      try {
        const ref = await start();
        making[mine] = ref.task;
        await finished(ref);
      } catch (thrown) {
        if (mine === key() && !(thrown instanceof AppError && thrown.kind === 'canceled')) error = thrown as Error;
      } finally {
        delete making[mine];
        pressed.delete(mine);
      }
    },
    cancel() {
      const id = making[key()];
      if (id !== undefined) void attempt(() => call('tasks.cancel', { id }));
    },
  };
}
