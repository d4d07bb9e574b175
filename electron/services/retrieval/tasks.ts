import type { Input } from '../../../shared/contract/index.ts';
import type { TaskRef } from '../../../shared/contract/started.ts';
import type { TaskResults } from '../../../shared/contract/tasks.ts';
import { runJob } from '../ground/jobs.ts';
import { checkpointWords, type Starting, type TaskControl } from '../ground/tasks.ts';
import type { Deletions } from '../ground/undo.ts';
import { specOf } from './folders.ts';

type Here = Starting & { deletions: Deletions };

/** Indexes that are being built, by what they are of. */
const building = new Map<string, TaskRef<'index'>>();

/**
 * An index of a checkpoint's features. Where it is being built already, that task: a window that was loaded again asks once
 * more. @throws AppError not-found
 */
export function startIndex(here: Here, asked: Input<'retrieval.build'>): TaskRef<'index'> {
  const { store } = here;
  const key = JSON.stringify([store.path, specOf(asked)]);
  const known = building.get(key);
  if (known) return known;
  const title = `Index of ${store.datasets.get(asked.dataset).name} by ${checkpointWords(store, asked.checkpoint)}`;
  const job = { database: store.path, spec: specOf(asked) };
  const ref = start(here, title, async ({ signal, progress }) => {
    try {
      return await runJob('index', job, { signal, onProgress: progress });
    } finally {
      building.delete(key);
    }
  });
  building.set(key, ref);
  return ref;
}

/** Indexes of several checkpoints. @throws AppError not-found */
export function startTravel(here: Here, asked: Input<'travel.build'>): TaskRef<'index'> {
  const title = `${here.store.datasets.get(asked.dataset).name} at ${asked.checkpoints.length} checkpoints`;
  const job = { database: here.store.path, input: asked };
  return start(here, title, ({ signal, progress }) => runJob('travel', job, { signal, onProgress: progress }));
}

function start(
  { tasks, events, deletions }: Here,
  title: string,
  work: (control: TaskControl) => Promise<TaskResults['index']>,
): TaskRef<'index'> {
  deletions.settle('index'); // what is built now is not deleted a little later
  return tasks.start('index', title, async (control) => {
    try {
      return await work(control);
    } finally {
      events.emit({ type: 'indexes' });
    }
  });
}
