import { describe } from '../../../methods/index.ts';
import type { EvaluationResult } from '../../../shared/evaluation.ts';
import { FEATURE_TASKS, type FeatureMeasure, featureKeys, measuresIn } from '../../../shared/feature-measures.ts';
import type { Sign } from '../../../shared/method.ts';
import type { Run } from '../../../shared/run.ts';
import { type Verdict, verdictOf } from '../../../shared/verdict.ts';
import type { Store } from '../../store/store.ts';

/** Points of a curve that a verdict reads. */
const POINTS = 400;
const KEYS = FEATURE_TASKS.map((task) => featureKeys(task).trained);

type From = Pick<Store, 'metrics' | 'evaluations'>;

/**
 * What features of a run were worth, by step: as measured at its checkpoints from `from` on, else as evaluations of it found.
 * Neighbours of the same class say more than RankMe does, whichever of the two they were found by.
 */
export function measuresOf({ metrics, evaluations }: From, { id }: Pick<Run, 'id'>, known: readonly FeatureMeasure[]) {
  const from = (known.at(-1)?.step ?? 0) + 1;
  const own = [...known, ...measuresIn(metrics.listWith(id, KEYS, from))];
  if (own.some(({ task }) => task === 'knn')) return { own, all: own };
  const found = evaluations.list({ run_id: id }).flatMap(({ result }) => measureIn(result));
  const byClass = found.filter(({ task }) => task === 'knn');
  const all = byClass.length > 0 ? byClass : own.length > 0 ? own : found;
  return { own, all: all.toSorted((a, b) => a.step - b.step) };
}

/** What an evaluation by k-NN, or without labels, says of features. */
function measureIn({ task, trained, untrained, test_images, checkpoint, chance }: EvaluationResult): FeatureMeasure[] {
  const [as, key] = task === 'knn' ? (['knn', 'mean_pooled'] as const) : (['rankme', 'rankme'] as const);
  if (task !== 'knn' && task !== 'labelfree') return [];
  const [of, before] = [trained?.[key], untrained?.[key]];
  if (typeof of !== 'number' || typeof before !== 'number') return [];
  return [{ step: checkpoint.step, task: as, trained: of, untrained: before, images: test_images, chance }];
}

/** What is said of a run; null for what was not pretrained here, or did not begin. @param alarm as `alarmOfRun` */
export function verdictOfRun(
  store: From,
  run: Run,
  alarm: Sign | null,
  measures: readonly FeatureMeasure[],
): Verdict | null {
  if (run.kind !== 'pretrain' || (run.step === 0 && run.error === null)) return null;
  const { config, status, step, total_steps, error } = run;
  const metrics = store.metrics.sampled(run.id, POINTS);
  const judged = { config, status, step, total_steps, error: error?.kind ?? null, metrics, alarm, measures };
  return verdictOf(describe(run), judged);
}
