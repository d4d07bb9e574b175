import type { Input } from '../../../shared/contract/index.ts';
import type { TaskRef } from '../../../shared/contract/started.ts';
import { runJob } from '../ground/jobs.ts';
import type { Outside } from '../ground/outside.ts';
import { checkpointWords, type Starting } from '../ground/tasks.ts';
import { besideEmbeddings } from './writers.ts';

/** Writes a dataset's embeddings. @throws AppError not-found, and for a place that cannot be written */
export async function startEmbeddings(
  { store, tasks, outside }: Starting & { outside: Outside },
  { folder, file, ...asked }: Input<'embeddings.export'>,
): Promise<TaskRef<'embeddings'>> {
  const beside = (path: string) => besideEmbeddings(path, asked.format);
  const path = await outside.outputIn({ folder, file, replace: asked.replace }, `.${asked.format}`, beside);
  const title = `Embeddings of ${store.datasets.get(asked.dataset).name} by ${checkpointWords(store, asked.checkpoint)}`;
  const options = { ...asked, file: path };
  return tasks.start('embeddings', title, ({ signal, progress }) =>
    runJob('embeddings', { database: store.path, options }, { signal, onProgress: progress }),
  );
}
