import type { FeatureMemory } from '../ground/features.ts';
import type { EvaluateAsked } from '../ground/jobs.ts';

/** A fine-tuning is a run of its own: `createFineTunings`. */
export type Task = EvaluateAsked['task'];

export interface EvaluateOptions extends EvaluateAsked {
  /** Its number in the queue: it goes on with the features that were kept, and leaves the queue when its figures are stored. */
  queued?: number;
  /** Features that this evaluation shares with others of this process; unset for one of the queue. */
  memory?: FeatureMemory;
  onProgress?: (done: number, total: number, what: string) => void;
  signal?: AbortSignal;
}
