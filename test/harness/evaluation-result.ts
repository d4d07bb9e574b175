import type { EvaluationResult } from '../../shared/evaluation.ts';

/** What a k-NN evaluation found, but for what a test says. */
export const evaluationResult = (found: Partial<EvaluationResult> = {}): EvaluationResult => ({
  task: 'knn',
  checkpoint: { id: 1, run_id: 1, step: 9 },
  dataset: 'pictures',
  test_dataset: 'pictures',
  train_images: 20,
  test_images: 5,
  classes: 2,
  chance: 0.5,
  trained: { cls: 0.7 },
  untrained: { cls: 0.4 },
  settings: {},
  left_out: [],
  notices: [],
  ...found,
});
