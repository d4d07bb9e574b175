import type { TASKS } from '../../../shared/contract/tasks.ts';
import { AppError } from '../../../shared/errors.ts';
import type { Context, HandlersOf } from '../context.ts';

export function taskHandlers({ shell, tasks, deletions }: Context): HandlersOf<typeof TASKS> {
  return {
    'tasks.list': () => tasks.list(),
    'tasks.cancel': ({ id }) => {
      tasks.cancel(id);
      return {};
    },
    'tasks.show': ({ id }) => {
      const path = tasks.made(id);
      if (path === null) throw new AppError('not-found', 'This task has written no file.');
      return { path, shown: shell.reveal(path) };
    },
    'tasks.dismiss': ({ id }) => {
      tasks.dismiss(id);
      return {};
    },
    'undo.restore': ({ undo }) => {
      deletions.restore(undo);
      return {};
    },
  };
}
