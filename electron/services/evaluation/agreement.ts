import type { Evaluation, Scores } from '../../../shared/evaluation.ts';
import { LABEL_FREE } from '../../../shared/evaluation-figures.ts';
import { kendallTau, type Ranked, tauInterval } from '../../../shared/statistics.ts';
import { stream } from '../../data/random.ts';
import type { Store } from '../../store/store.ts';

/** The figure that others are held against: of a linear probe. */
const JUDGE = 'mean_pooled';
/** Of look-ups, what is more than position. */
const CONTENT = 'content';

/** What a figure that needs no labels is worth: whether it ranks runs as their linear probes do. */
export interface Agreement {
  key: string;
  title: string;
  runs: number;
  datasets: string[];
  /** Kendall's tau; null where there are too few runs. */
  tau: number | null;
  interval: [low: number, high: number] | null;
}

/** A run, by the figures of its latest checkpoint that has a linear probe. */
interface Judged {
  dataset: string;
  accuracy: number;
  figures: Record<string, number>;
}

/** Nearness to 1 in place of alpha itself, which is best there. */
const merit = (key: string, value: number): number => (key === 'alpha_req' ? -Math.abs(value - 1) : value);

/**
 * Figures without labels, and the content share of look-ups, beside the accuracy of linear probes, over all runs that have both
 * of one checkpoint and dataset. Runs of different datasets are not compared with each other.
 */
export function agreementOf(store: Store): Agreement[] {
  const judged = store.runs.list().flatMap(({ id }) => judgedOf(store.evaluations.list({ run_id: id })));
  const titles = Object.entries(LABEL_FREE).map(([key, { title }]) => [key, title] as const);
  const all = [...titles, [CONTENT, 'look-ups less their control'] as const];
  return all.map(([key, title]) => {
    const has = judged.filter(({ figures }) => figures[key] !== undefined);
    const ranked = has.map(
      ({ dataset, accuracy, figures }): Ranked => ({ group: dataset, x: merit(key, figures[key]!), y: accuracy }),
    );
    return {
      key,
      title,
      runs: has.length,
      datasets: [...new Set(has.map(({ dataset }) => dataset))],
      tau: has.length < 2 ? null : kendallTau(ranked),
      interval: tauInterval(ranked, stream(1, 0, key, 'agreement of figures')),
    };
  });
}

/** One of each dataset that the run was judged on. */
function judgedOf(evaluations: readonly Evaluation[]): Judged[] {
  const probes = evaluations.filter(({ task }) => task === 'linear');
  return [...Map.groupBy(probes, ({ result }) => result.dataset)].flatMap(([dataset, some]) => {
    const probe = some.toSorted((a, b) => a.result.checkpoint.step - b.result.checkpoint.step || a.id - b.id).at(-1)!;
    const accuracy = probe.result.trained?.[JUDGE];
    if (typeof accuracy !== 'number') return [];
    const of = (task: Evaluation['task']): Scores =>
      evaluations
        .filter((one) => one.task === task && one.result.dataset === dataset)
        .filter(({ result }) => result.checkpoint.step === probe.result.checkpoint.step)
        .at(-1)?.result.trained ?? {};
    const { top1, top1_control } = of('lookup');
    const numbers = Object.entries(of('labelfree')).flatMap(([key, value]) =>
      typeof value === 'number' ? [[key, value] as const] : [],
    );
    const figures: Record<string, number> = Object.fromEntries(numbers);
    if (typeof top1 === 'number' && typeof top1_control === 'number') figures[CONTENT] = top1 - top1_control;
    return [{ dataset, accuracy, figures }];
  });
}
