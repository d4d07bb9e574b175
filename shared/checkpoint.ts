import type { RunConfig } from './config.ts';

/** Checkpoints, as the store keeps them. Times are milliseconds since 1970. */

export interface Checkpoint {
  id: number;
  run_id: number;
  step: number;
  /** Epochs that were done: images seen over images. */
  epoch: number;
  created_at: number;
  /** Mean loss since the checkpoint before. */
  loss: number | null;
  has_optimizer: boolean;
  is_best: boolean;
  config: RunConfig;
  /** Bytes of all its tensors. */
  bytes: number;
  /** What its network should have and it has not, in words: of weights that were imported. What is missing is untrained. */
  lacks: string[];
}

/** Parts of a checkpoint; tensor names within a part are the published code's. */
export type TensorPart = 'student' | 'teacher' | 'exp_avg' | 'exp_avg_sq';
