import { alarmOf, type Sign } from '../../../shared/health.ts';
import type { Run } from '../../../shared/run.ts';
import type { Store } from '../../store/store.ts';

/** What goes wrong with a run by its last steps, as windows and the command line say it; null where nothing does. */
export function alarmOfRun(store: Store, run: Run): Sign | null {
  if (run.kind !== 'pretrain') return null;
  const metrics = store.metrics.tail(run.id, 10);
  const seen = store.metrics.lastWith(run.id, ['rank_teacher', 'cosine_teacher']);
  const keys = seen
    ? { step: seen.step, rank: seen.figures.rank_teacher!, cosine: seen.figures.cosine_teacher! }
    : null;
  return alarmOf({ metrics, keys }, run);
}
