import type { Input } from '../../../shared/contract/index.ts';
import type { TaskRef } from '../../../shared/contract/started.ts';
import { runJob } from '../ground/jobs.ts';
import { checkpointWords, type Starting } from '../ground/tasks.ts';
import type { ExploreHost } from './host.ts';

type Here = Starting & { explore: ExploreHost };

/** Look-ups of a run's fixed images at each checkpoint. @throws AppError not-found */
export function startProbes({ store, tasks, events }: Starting, run: number): TaskRef<'probes'> {
  return tasks.start('probes', `Look-ups of ${store.runs.get(run).name}`, async ({ signal, progress }) => {
    const result = await runJob('probes', { database: store.path, run }, { signal, onProgress: progress });
    events.emit({ type: 'checkpoint', run });
    return result;
  });
}

/** @throws AppError not-found */
export function startAccuracy({ store, tasks, explore }: Here, asked: Input<'explore.accuracy'>): TaskRef<'accuracy'> {
  const title = `Where look-ups of ${checkpointWords(store, asked.checkpoint)}, are right`;
  return tasks.start('accuracy', title, ({ signal, progress }) =>
    explore.accuracy(asked, { signal, onProgress: progress }),
  );
}

/** @throws AppError not-found */
export function startMap({ store, tasks, explore }: Here, asked: Input<'explore.map-compute'>): TaskRef<'map'> {
  const { run_id, step } = store.checkpoints.get(asked.checkpoint);
  const which = asked.untrained ? 'untrained' : `step ${step}`;
  const title = `Map of ${store.datasets.get(asked.dataset).name} by ${store.runs.get(run_id).name}, ${which}`;
  return tasks.start('map', title, ({ signal, progress }) => explore.map(asked, { signal, onProgress: progress }));
}
