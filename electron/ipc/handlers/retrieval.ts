import type { RETRIEVAL } from '../../../shared/contract/retrieval.ts';
import { runJob } from '../../services/ground/jobs.ts';
import { indexDeletion } from '../../services/retrieval/deletion.ts';
import { specOf } from '../../services/retrieval/folders.ts';
import type { Context, HandlersOf } from '../context.ts';
import { requireAnswering } from './answering.ts';
import { shownIndexes } from './shown.ts';

export function retrievalHandlers(context: Context): HandlersOf<typeof RETRIEVAL> {
  const { store, events, tasks, explore, deletions } = context;
  const ofImage = (image: number) => requireAnswering(context, store.images.get(image).dataset_id);
  const changed = () => events.emit({ type: 'indexes' });
  return {
    'retrieval.indexes': () => shownIndexes({ store, deletions }),
    'retrieval.build': (input) => {
      deletions.settle('index'); // what is built now is not deleted a little later
      const { run_id, step } = store.checkpoints.get(input.checkpoint);
      const { name } = store.datasets.get(input.dataset);
      const title = `Index of ${name} by ${store.runs.get(run_id).name}, step ${step}`;
      return tasks.start('index', title, async ({ signal, progress }) => {
        try {
          const job = { database: store.path, spec: specOf(input) };
          return await runJob('index', job, { signal, onProgress: progress });
        } finally {
          changed();
        }
      });
    },
    'retrieval.search': async (input) => {
      await ofImage(input.image);
      return explore.retrieve(input);
    },
    'retrieval.delete': ({ id }) => deletions.add(indexDeletion(context, id)),
    'travel.build': (input) => {
      deletions.settle('index');
      const title = `${store.datasets.get(input.dataset).name} at ${input.checkpoints.length} checkpoints`;
      return tasks.start('index', title, async ({ signal, progress }) => {
        try {
          return await runJob('travel', { database: store.path, input }, { signal, onProgress: progress });
        } finally {
          changed();
        }
      });
    },
    'travel.ask': async (input) => {
      await ofImage(input.image);
      return explore.travel(input);
    },
  };
}
