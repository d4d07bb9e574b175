import type { Evaluation } from './domain.ts';

export interface Figure {
  task: string;
  step: number;
  on: string;
  label: string;
  trained: number | null;
  untrained: number | null;
  chance: number | null;
  /** Test images. */
  n: number;
}

const TASKS = { knn: 'k-NN', linear: 'linear probe', lookup: 'look-ups' };
const LABELS: Record<string, string> = {
  mean_pooled: 'mean of patch tokens',
  cls: 'CLS token',
  mean_pooled_k1: 'nearest neighbour, mean of patch tokens',
  cls_k1: 'nearest neighbour, CLS token',
  top1: 'top-1',
  top5: 'top-5',
  top1_control: "top-1, another image's keys",
};

/** What electron/services/evaluation.ts stores. */
interface Stored {
  checkpoint: { step: number };
  dataset: string;
  test_dataset: string;
  test_images: number;
  chance: number;
  trained: Record<string, number | null>;
  untrained: Record<string, number | null>;
}

/** An evaluation's figures, each with the untrained network's beside it. */
export function evaluationFigures({ task, result }: Evaluation): Figure[] {
  const stored = result as unknown as Stored;
  return Object.keys(stored.trained).map((key) => ({
    task: TASKS[task],
    step: stored.checkpoint.step,
    on: stored.dataset === stored.test_dataset ? stored.dataset : `${stored.dataset} → ${stored.test_dataset}`,
    label: LABELS[key] ?? key,
    trained: stored.trained[key] ?? null,
    untrained: stored.untrained[key] ?? null,
    chance: key === 'top5' ? Math.min(1, 5 * stored.chance) : stored.chance,
    n: stored.test_images,
  }));
}
