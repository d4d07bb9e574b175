import type { EVALUATION } from '../../../shared/contract/evaluation.ts';
import { runJob } from '../../services/ground/jobs.ts';
import type { Context, HandlersOf } from '../context.ts';

export function evaluationHandlers({ store, tasks, live, outside }: Context): HandlersOf<typeof EVALUATION> {
  return {
    'evaluations.list': ({ run }) => store.evaluations.list(run === null ? {} : { run_id: run }),
    'evaluations.start': (input) => live.evaluate(input),
    'health.report': async ({ checkpoint, dataset, images, ...place }) => {
      const { run_id, step } = store.checkpoints.get(checkpoint);
      const file = await outside.outputIn(place, '.html');
      const options = { checkpoint, dataset, images, replace: place.replace, file };
      return tasks.start('health', `Health of ${store.runs.get(run_id).name}, step ${step}`, ({ signal, progress }) =>
        runJob('health', { database: store.path, options }, { signal, onProgress: progress }),
      );
    },
  };
}
