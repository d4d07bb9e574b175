import { z } from 'zod';
import type { ErrorReport } from './errors.ts';
import type { Start } from './finetune.ts';
import { leftOutSchema } from './left-out.ts';

/** Evaluations, as the store keeps them. Times are milliseconds since 1970. */

export const EVALUATION_TASKS = ['lookup', 'knn', 'fewshot', 'linear', 'labelfree', 'finetune'] as const;
/** Those on frozen features of images with classes, which are the same of one checkpoint. */
export const CLASS_TASKS: readonly EvaluationTask[] = ['knn', 'fewshot', 'linear'];
export type EvaluationTask = (typeof EVALUATION_TASKS)[number];

export interface Evaluation {
  id: number;
  checkpoint_id: number | null;
  /** Null where it was deleted: the result names it. */
  dataset_id: number | null;
  task: EvaluationTask;
  created_at: number;
  result: EvaluationResult;
}

/** What an evaluation of the queue is told beside its images. */
export const evaluationOptionsSchema = z.object({
  /** Neighbours of k-NN. */
  k: z.number(),
  /** A checkpoint beside it; null for none; missing for the weights that were imported last. */
  official: z.number().nullable().exactOptional(),
  /** Whether the pixels themselves are asked too; what an older program asked for is without. */
  pixels: z.boolean().default(false),
});

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
  options: z.infer<typeof evaluationOptionsSchema>;
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

/** Figures of one network, by key; null where it is not a number. */
const scores = z.record(z.string(), z.number().nullable());
export type Scores = z.infer<typeof scores>;

/** How often each class (row) was taken for each (column), by network. */
const matrix = z.array(z.array(z.number()));
const confusion = z.object({
  classes: z.array(z.string()),
  trained: matrix.optional(),
  untrained: matrix.optional(),
  official: matrix.optional(),
});
export type Confusion = z.infer<typeof confusion>;

/**
 * What an evaluation found, as it is stored: the same for those of frozen features and for fine-tunings, whose runs add
 * theirs one after the other. What is read from the store goes through it.
 */
export const evaluationResultSchema = z.object({
  task: z.enum(EVALUATION_TASKS),
  /** Null of a fine-tuning whose checkpoint was deleted. */
  checkpoint: z.object({
    id: z.number().nullable().default(null),
    run_id: z.number().nullable().default(null),
    step: z.number(),
  }),
  dataset: z.string(),
  test_dataset: z.string(),
  train_images: z.number(),
  test_images: z.number(),
  /** Null where there are none: look-ups, figures without labels. */
  classes: z.number().nullable().default(null),
  /** What guessing gives; null where nothing is guessed. */
  chance: z.number().nullable(),
  trained: scores.optional(),
  /** The same network at its start: without it no figure of the trained one says anything. */
  untrained: scores.optional(),
  /** Weights that were imported, where there were any. */
  official: scores.optional(),
  /** Pixels of small images in place of features, where they were asked for: what needs no network. */
  pixels: scores.optional(),
  official_name: z.string().optional(),
  confusion: confusion.optional(),
  settings: z.record(z.string(), z.unknown()),
  /** Images that could not be read, and are in no figure; an older program named none. */
  left_out: z.array(leftOutSchema).default([]),
  /** What a person should know beside the figures; an older program said nothing. */
  notices: z.array(z.string()).default([]),
  /** Of fine-tunings: names their comparison, and the run of each start. */
  group: z.string().optional(),
  runs: z.record(z.string(), z.object({ id: z.number(), name: z.string() })).optional(),
});
export type EvaluationResult = z.infer<typeof evaluationResultSchema>;

/** What an evaluation of frozen features finds, by the network that was asked. */
export type Scored = Pick<
  EvaluationResult,
  'train_images' | 'test_images' | 'classes' | 'chance' | 'confusion' | 'settings' | 'left_out' | 'notices'
> & { scores: Partial<Record<Start | 'pixels', Scores>> };

/** What an evaluation of frozen features says. */
export interface Evaluated extends EvaluationResult {
  trained: Scores;
  untrained: Scores;
  /** Why the figures are not kept with the checkpoint: what was computed for hours is said all the same. */
  not_stored?: string;
}
