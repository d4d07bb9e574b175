import type { EvaluateAsked } from '../ground/jobs.ts';

/** A fine-tuning is a run of its own: `createFineTunings`. */
export type Task = EvaluateAsked['task'];

export interface EvaluateOptions extends EvaluateAsked {
  /** It is this one of the queue: it goes on with the features that it has, and leaves the queue with its figures. */
  queued?: number;
  onProgress?: (done: number, total: number, what: string) => void;
  signal?: AbortSignal;
}
