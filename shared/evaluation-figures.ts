import type { Evaluation, EvaluationTask } from './evaluation.ts';
import { fixed, percent } from './words.ts';

export interface Figure {
  task: string;
  step: number;
  on: string;
  label: string;
  /** A share is shown as per cent. */
  scale: 'share' | 'plain';
  trained: number | null;
  untrained: number | null;
  /** The figure of imported weights. */
  official: number | null;
  /** Standard deviations, where it was measured several times. */
  sd: { trained: number | null; untrained: number | null; official: number | null } | null;
  chance: number | null;
  /** What `chance` is of: guessing among keys, or saying the most frequent class of the test images each time. */
  chance_of: 'guessing' | 'largest class';
  /** Test images. */
  n: number;
}

/** What an evaluation does. */
export const TASKS = {
  knn: 'k-NN',
  fewshot: 'few-shot k-NN',
  linear: 'linear probe',
  labelfree: 'figures without labels',
  finetune: 'fine-tuning',
  lookup: 'look-ups',
};
/** Figures without labels: what each is called, what it says, and whether more of it is better; null where neither is. */
export const LABEL_FREE: Record<string, { title: string; says: string; isHigherBetter: boolean | null }> = {
  rankme: { title: 'RankMe', says: 'directions in use', isHigherBetter: true },
  lidar: { title: 'LiDAR', says: 'directions that tell images apart', isHigherBetter: true },
  alpha_req: { title: 'alpha-ReQ', says: 'fall of the spectrum, near 1 is best', isHigherBetter: null },
  uniformity: { title: 'uniformity', says: '0 collapsed, −4 the limit', isHigherBetter: null },
  alignment: { title: 'alignment of two views', says: '0 the same, 2 unrelated', isHigherBetter: null },
};
const LABELS: Record<string, string> = {
  mean_pooled: 'mean of patch tokens',
  cls: 'CLS token',
  mean_pooled_k1: 'nearest neighbour, mean of patch tokens',
  cls_k1: 'nearest neighbour, CLS token',
  ...Object.fromEntries(Object.entries(LABEL_FREE).map(([key, { title, says }]) => [key, `${title}: ${says}`])),
  top1: 'top-1',
  top5: 'top-5',
  top1_control: "top-1, another image's keys (position alone)",
  accuracy: 'top-1',
  accuracy_top5: 'top-5',
};
const TOP5 = new Set(['top5', 'accuracy_top5']);
const SD = '_sd';
/** Behind the key of a figure that is measured of the mean of patch tokens, and of CLS too. */
const OF_CLS = '_of_cls';

/** A figure of an evaluation, by its key in the stored result. */
export function labelOf(key: string): string {
  if (key.endsWith(OF_CLS)) return `${labelOf(key.slice(0, -OF_CLS.length))}, of CLS`;
  return LABELS[key] ?? key.replace(/^shots_(\d+)$/, '$1 known of each class');
}

/** How the figures of an evaluation are shown. */
export const scaleOf = (task: EvaluationTask): Figure['scale'] => (task === 'labelfree' ? 'plain' : 'share');

/** A figure as it is shown. */
export const figureText = (value: number | null | undefined, scale: Figure['scale']): string =>
  scale === 'share' ? percent(value) : fixed(value, 2);

/** An evaluation's figures, each with those of the untrained network and of imported weights beside it. */
export function evaluationFigures({ task, result }: Evaluation): Figure[] {
  const { trained, untrained, official, chance } = result;
  const keys = Object.keys(trained ?? untrained ?? official ?? {});
  const of = (key: string) => ({
    trained: trained?.[key] ?? null,
    untrained: untrained?.[key] ?? null,
    official: official?.[key] ?? null,
  });
  return keys
    .filter((key) => !key.endsWith(SD))
    .map((key) => ({
      task: TASKS[task],
      step: result.checkpoint.step,
      on: result.dataset === result.test_dataset ? result.dataset : `${result.dataset} → ${result.test_dataset}`,
      label: labelOf(key),
      scale: scaleOf(task),
      ...of(key),
      sd: keys.includes(key + SD) ? of(key + SD) : null,
      // The five most frequent classes may hold more than five times the share of the first's.
      chance: TOP5.has(key) ? (task === 'lookup' ? Math.min(1, 5 * chance!) : null) : chance,
      chance_of: task === 'lookup' ? 'guessing' : 'largest class',
      n: result.test_images,
    }));
}

/** A class that was taken for another. */
export interface Mistake {
  truth: string;
  taken: string;
  count: number;
  /** Share of the images of the true class. */
  share: number;
}

/** Mistakes, the most frequent first. @param matrix rows are the true class */
export function mistakesOf(matrix: readonly (readonly number[])[], classes: readonly string[]): Mistake[] {
  return matrix
    .flatMap((row, i) => {
      const total = row.reduce((a, b) => a + b, 0);
      return row.map((count, j) => ({ truth: classes[i]!, taken: classes[j]!, count, share: count / total, j, i }));
    })
    .filter(({ count, i, j }) => count > 0 && i !== j)
    .map(({ i: _, j: __, ...mistake }) => mistake)
    .sort((a, b) => b.count - a.count || b.share - a.share);
}
