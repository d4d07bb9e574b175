import type { EXPLORE } from '../../../shared/contract/explore.ts';
import { storedMap } from '../../services/explore/feature-map.ts';
import { probeStrip } from '../../services/explore/probe-strip.ts';
import { runJob } from '../../services/ground/jobs.ts';
import type { Context, HandlersOf } from '../context.ts';
import { requireAnswering } from './answering.ts';

export function exploreHandlers(context: Context): HandlersOf<typeof EXPLORE> {
  const { store, events, tasks, explore } = context;
  const ofImage = (image: number) => requireAnswering(context, store.images.get(image).dataset_id);
  return {
    'probes.get': ({ id }) => probeStrip(store, id),
    'probes.compute': ({ id }) =>
      tasks.start('probes', `Look-ups of ${store.runs.get(id).name}`, async ({ signal, progress }) => {
        const result = await runJob('probes', { database: store.path, run: id }, { signal, onProgress: progress });
        events.emit({ type: 'checkpoint', run: id });
        return result;
      }),
    'explore.lookup': async (input) => {
      await ofImage(input.image);
      return explore.lookup(input);
    },
    'explore.explain': async (input) => {
      await ofImage(input.image);
      return explore.explain(input);
    },
    'explore.accuracy': (input) => {
      const { run_id, step } = store.checkpoints.get(input.checkpoint);
      const title = `Where look-ups of ${store.runs.get(run_id).name}, step ${step}, are right`;
      return tasks.start('accuracy', title, ({ signal, progress }) =>
        explore.accuracy(input, { signal, onProgress: progress }),
      );
    },
    'explore.colours': async (input) => {
      await requireAnswering(context, input.dataset);
      return explore.colours(input);
    },
    'explore.attention': async (input) => {
      await ofImage(input.image);
      return explore.attention(input);
    },
    'explore.map': (input) => storedMap(store, input),
    'explore.map-compute': (input) => {
      const { run_id, step } = store.checkpoints.get(input.checkpoint);
      const which = input.untrained ? 'untrained' : `step ${step}`;
      const title = `Map of ${store.datasets.get(input.dataset).name} by ${store.runs.get(run_id).name}, ${which}`;
      return tasks.start('map', title, ({ signal, progress }) => explore.map(input, { signal, onProgress: progress }));
    },
  };
}
