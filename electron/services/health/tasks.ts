import type { Input } from '../../../shared/contract/index.ts';
import type { TaskRef } from '../../../shared/contract/started.ts';
import { runJob } from '../ground/jobs.ts';
import type { Outside } from '../ground/outside.ts';
import { checkpointWords, type Starting } from '../ground/tasks.ts';

/** Measures a checkpoint's features for a window. @throws AppError not-found */
export function startHealthPage({ store, tasks }: Starting, options: Input<'health.measure'>): TaskRef<'health-page'> {
  const title = `Health of ${checkpointWords(store, options.checkpoint)}`;
  store.datasets.get(options.dataset);
  return tasks.start('health-page', title, ({ signal, progress }) =>
    runJob('health-page', { database: store.path, options }, { signal, onProgress: progress }),
  );
}

/** Writes the report on a checkpoint's features. @throws AppError not-found, and for a place that cannot be written */
export async function startHealthReport(
  { store, tasks, outside }: Starting & { outside: Outside },
  { checkpoint, dataset, images, ...place }: Input<'health.report'>,
): Promise<TaskRef<'health'>> {
  const title = `Health of ${checkpointWords(store, checkpoint)}`;
  const file = await outside.outputIn(place, '.html');
  const options = { checkpoint, dataset, images, replace: place.replace, file };
  return tasks.start('health', title, ({ signal, progress }) =>
    runJob('health', { database: store.path, options }, { signal, onProgress: progress }),
  );
}
