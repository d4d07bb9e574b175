import { dirname } from 'node:path';
import type { EXPORT } from '../../../shared/contract/export.ts';
import { fileIn } from '../../files/typed-path.ts';
import { startEmbeddings } from '../../services/embeddings/tasks.ts';
import { ENDINGS } from '../../services/export/export.ts';
import { WEIGHTS_ENDING } from '../../services/export/weights.ts';
import { runJob } from '../../services/ground/jobs.ts';
import type { Context, HandlersOf } from '../context.ts';

export function exportHandlers(context: Context): HandlersOf<typeof EXPORT> {
  const { store, outside } = context;
  return {
    'embeddings.export': (input) => startEmbeddings(context, input),
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
