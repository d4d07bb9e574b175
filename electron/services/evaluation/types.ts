import type { EvaluationTask } from '../../../shared/evaluation.ts';
import type { Start } from '../../../shared/finetune.ts';
import type { LeftOut } from '../../../shared/left-out.ts';

/** A fine-tuning is a run of its own: `createFineTunings`. */
export type Task = Exclude<EvaluationTask, 'finetune'>;

/** What is to be evaluated, on what. */
export interface Asked {
  checkpoint: number;
  dataset: string | number;
  /** Where the test images come from; without it, a fixed fifth of each class of `dataset`. */
  testDataset?: string | number;
  task: Task;
  /** Neighbours of k-NN. */
  k?: number;
  /** As `contestants` takes it. */
  official?: number | null;
}

export interface EvaluateOptions extends Asked {
  /** It is this one of the queue: it goes on with the features that it has, and leaves the queue with its figures. */
  queued?: number;
  onProgress?: (done: number, total: number, what: string) => void;
  signal?: AbortSignal;
}

/** Figures of one network. */
export type Scores = Record<string, number | null>;

/** What an evaluation finds, by the network that was asked. */
export interface Measured {
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

export interface EvaluationResult extends Omit<Measured, 'scores'> {
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
