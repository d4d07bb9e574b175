import type { RUNS } from '../../../shared/contract/runs.ts';
import { AppError } from '../../../shared/errors.ts';
import { differsFromPreset } from '../../services/recipes/presets.ts';
import { runDeletion } from '../../services/runs/deletion.ts';
import type { Context, HandlersOf } from '../context.ts';

export function runHandlers(context: Context): HandlersOf<typeof RUNS> {
  const { store, live, deletions } = context;
  return {
    'finetune.start': (input) => live.fineTune(input),
    'runs.list': () => live.rows(),
    'runs.damaged': () => live.damaged(),
    'runs.get': ({ id }) => {
      const run = live.row(id);
      if (deletions.isHidden('run', id))
        throw new AppError('not-found', `Run "${run.name}" is deleted.`, '', 'For half a minute it can be undone.');
      return {
        ...run,
        checkpoints: store.checkpoints.list(id),
        evaluations: store.evaluations.list({ run_id: id }),
        notices: store.notices.list(id),
        metric_count: store.metrics.count(id),
        differs: differsFromPreset(store, run.preset, run.config),
      };
    },
    'runs.metrics': ({ id, points, from, to }) =>
      store.metrics.sampled(id, points, { ...(from !== null && { from }), ...(to !== null && { to }) }),
    'runs.create': (input) => live.create(input),
    'runs.pause': ({ id }) => live.request(id, 'pause'),
    'runs.stop': ({ id }) => live.request(id, 'stop'),
    'runs.resume': ({ id }) => live.resume(id),
    'queue.move': (input) => {
      live.move(input);
      return {};
    },
    'runs.annotate': (input) => live.annotate(input),
    'runs.delete': ({ ids }) => deletions.add(runDeletion(context, ids)),
  };
}
