import type { RunRow } from '../../shared/contract/runs.ts';
import type { Task } from '../../shared/contract/tasks.ts';
import type { QueueItem } from '../../shared/queue.ts';
import { runs } from './runs.svelte.ts';
import { tasks } from './tasks.svelte.ts';

interface Place {
  item: QueueItem;
  name: string;
  position: number;
}
/** A run, or an evaluation, which is a task. */
export type Waiting = Place & ({ run: RunRow; task?: never } | { run?: never; task: Task });

/** What waits in the queue, in the order in which it is started. */
export function waiting(): Waiting[] {
  return [
    ...runs.all.flatMap((run): Waiting[] =>
      run.queue_position === null
        ? []
        : [{ item: { kind: 'run', id: run.id }, name: run.name, position: run.queue_position, run }],
    ),
    ...tasks.flatMap((task): Waiting[] =>
      task.status !== 'waiting' || task.queued?.position == null
        ? []
        : [
            {
              item: { kind: 'evaluation', id: task.queued.id },
              name: task.title,
              position: task.queued.position,
              task,
            },
          ],
    ),
  ].sort((a, b) => a.position - b.position);
}
