import type { EVALUATION } from '../../../shared/contract/evaluation.ts';
import { startHealthPage, startHealthReport } from '../../services/health/tasks.ts';
import type { Context, HandlersOf } from '../context.ts';

export function evaluationHandlers(context: Context): HandlersOf<typeof EVALUATION> {
  const { store, live } = context;
  return {
    'evaluations.list': ({ run }) => store.evaluations.list(run === null ? {} : { run_id: run }),
    'evaluations.start': (input) => live.evaluate(input),
    'health.measure': (input) => startHealthPage(context, input),
    'health.report': (input) => startHealthReport(context, input),
  };
}
