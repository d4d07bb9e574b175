import type { TaskKind, TaskRef } from '../../shared/contract/started.ts';
import type { Task, TaskOf, TaskResults } from '../../shared/contract/tasks.ts';
import { fromReport } from '../../shared/errors.ts';
import { call, on, onConnection } from '../api.ts';

/** Long work that any window started, newest first. */
export const tasks = $state<Task[]>([]);

function put(task: Task) {
  const at = tasks.findIndex((t) => t.id === task.id);
  if (at >= 0) tasks[at] = task;
  else tasks.unshift(task);
}
async function reload() {
  const all = await call('tasks.list', {});
  tasks.splice(0, tasks.length, ...all.toReversed());
}
on('task', ({ task }) => {
  put(task);
  if (task.status === 'failed') forgetSaid(task.id);
});
on('task-gone', ({ id }) => {
  const at = tasks.findIndex((t) => t.id === id);
  if (at >= 0) tasks.splice(at, 1);
});
on('resync', () => void reload().catch(() => {}));
let known = false;
onConnection((state) => {
  if (state !== 'connected' || known) return;
  known = true;
  void reload().catch(() => {});
});

/** Tasks whose failure was shown on the screen that started them: the tray does not show it again. */
const said = new Set<string>();
/** Call it where a failed task is shown on its own screen. */
export function sayNoMore(id: string): void {
  said.add(id);
  // It may not have ended yet as far as this window knows.
  if (tasks.some((task) => task.id === id && task.ended_at !== null)) forgetSaid(id);
}
function forgetSaid(id: string) {
  if (said.delete(id)) void call('tasks.dismiss', { id }).catch(() => {}); // another window may have
}

/** Whether a task is the one that a call gave. */
const isThat = <K extends TaskKind>(task: { id: string; kind: TaskKind }, ref: TaskRef<K>): task is TaskOf<K> =>
  task.id === ref.task && task.kind === ref.kind;

/** Waits for the end of a task, and for its result. @throws AppError where it failed or was canceled */
export function finished<K extends TaskKind>(ref: TaskRef<K>): Promise<TaskResults[K]> {
  return new Promise((resolve, reject) => {
    const look = (task: { id: string; kind: TaskKind }) => {
      if (!isThat(task, ref) || task.ended_at === null) return;
      end();
      if (task.status === 'done') resolve(task.result);
      else reject(fromReport(task.error!));
    };
    const end = on('task', ({ task }) => look(task));
    // It may have ended before this window heard of it.
    void call('tasks.list', {}).then((all) => all.forEach(look), reject);
  });
}
