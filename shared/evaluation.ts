import type { ErrorReport } from './errors.ts';
import type { Start } from './finetune.ts';
import type { LeftOut } from './left-out.ts';

/** Evaluations, as the store keeps them. Times are milliseconds since 1970. */

export const EVALUATION_TASKS = ['lookup', 'knn', 'fewshot', 'linear', 'finetune'] as const;
export type EvaluationTask = (typeof EVALUATION_TASKS)[number];

export interface Evaluation {
  id: number;
  checkpoint_id: number | null;
  /** Null where it was deleted: the result names it. */
  dataset_id: number | null;
  task: EvaluationTask;
  created_at: number;
  /** Figures, with those of the untrained network beside them. */
  result: Record<string, unknown>;
}

/** An evaluation of the queue: it waits, is worked at (`pid`), or failed (`error`). */
export interface QueuedEvaluation {
  id: number;
  run_id: number;
  /** May be deleted by now. */
  checkpoint_id: number;
  step: number;
  dataset_id: number;
  /** Null: a fixed fifth of each class is the test. */
  test_dataset_id: number | null;
  task: Exclude<EvaluationTask, 'finetune'>;
  options: {
    /** Neighbours of k-NN. */
    k: number;
    /** A checkpoint beside it; null for none; missing for the weights that were imported last. */
    official?: number | null;
  };
  /** Null while it is worked at, and where it failed. */
  queue_position: number | null;
  pid: number | null;
  heartbeat: number | null;
  /** How often it was begun, and how often its process died. */
  begun: number;
  deaths: number;
  is_canceled: boolean;
  error: ErrorReport | null;
  created_at: number;
}

/** Figures of one network. */
export type Scores = Record<string, number | null>;

/** What an evaluation finds, by the network that was asked. */
export interface Scored {
  scores: Partial<Record<Start, Scores>>;
  train_images: number;
  test_images: number;
  classes: number | null;
  /** What guessing gives. */
  chance: number;
  /** How often each class (row) was taken for each (column). */
  confusion?: { classes: string[] } & Partial<Record<Start, number[][]>>;
  settings: Record<string, unknown>;
  /** Images that could not be read, and are in no figure. */
  left_out: LeftOut[];
  /** What a person should know beside the figures. */
  notices: string[];
}

/** An evaluation as it is stored: the same for those of frozen features and for a fine-tuning. */
export interface EvaluationResult extends Omit<Scored, 'scores'> {
  task: EvaluationTask;
  checkpoint: { id: number; run_id: number; step: number };
  dataset: string;
  test_dataset: string;
  trained: Scores;
  /** The same network at its start: without it no figure of the trained one says anything. */
  untrained: Scores;
  /** Weights that were imported, where there were any. */
  official?: Scores;
  official_name?: string;
  /** Why the figures are not kept with the checkpoint: what was computed for hours is said all the same. */
  not_stored?: string;
}
