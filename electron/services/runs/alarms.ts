import { describe } from '../../../methods/index.ts';
import { seldomMeasured, TREND_STEPS } from '../../../shared/figures.ts';
import type { Sign } from '../../../shared/method.ts';
import type { Run } from '../../../shared/run.ts';
import type { Store } from '../../store/store.ts';

/** What goes wrong with a run by its last steps, as windows and the command line say it; null where nothing does. */
export function alarmOfRun({ metrics }: Pick<Store, 'metrics'>, run: Run): Sign | null {
  if (run.kind === 'imported') return null;
  const { alarm, charts } = describe(run);
  const measured = metrics.lastWith(run.id, seldomMeasured(charts));
  return alarm({ metrics: metrics.tail(run.id, TREND_STEPS), measured }, run.config);
}
