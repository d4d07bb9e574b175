import { dirname } from 'node:path';
import type { EXPORT } from '../../../shared/contract/export.ts';
import { fileIn } from '../../files/typed-path.ts';
import { besideEmbeddings } from '../../services/embeddings/writers.ts';
import { ENDINGS } from '../../services/export/export.ts';
import { WEIGHTS_ENDING } from '../../services/export/weights.ts';
import { runJob } from '../../services/ground/jobs.ts';
import type { Context, HandlersOf } from '../context.ts';

export function exportHandlers({ store, tasks, outside }: Context): HandlersOf<typeof EXPORT> {
  return {
    'embeddings.export': async ({ checkpoint, dataset, folder, file, ...asked }) => {
      const beside = (path: string) => besideEmbeddings(path, asked.format);
      const path = await outside.outputIn({ folder, file, replace: asked.replace }, `.${asked.format}`, beside);
      const { run_id, step } = store.checkpoints.get(checkpoint);
      const title = `Embeddings of ${store.datasets.get(dataset).name} by ${store.runs.get(run_id).name}, step ${step}`;
      const options = { ...asked, checkpoint, dataset, file: path };
      return tasks.start('embeddings', title, ({ signal, progress }) =>
        runJob('embeddings', { database: store.path, options }, { signal, onProgress: progress }),
      );
    },
    'checkpoints.export': async ({ folder, file, ...what }) => {
      const options = { ...what, file: fileIn(folder, file, ENDINGS[what.format]) };
      await outside.make(dirname(options.file));
      return runJob('export', { database: store.path, options });
    },
    'weights.export': async ({ checkpoint, part, ...place }) => {
      store.checkpoints.get(checkpoint);
      const file = await outside.outputIn(place, WEIGHTS_ENDING);
      const options = { checkpoint, part, file, replace: place.replace };
      return runJob('export-weights', { database: store.path, options });
    },
  };
}
