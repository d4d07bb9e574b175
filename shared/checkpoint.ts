import { z } from 'zod';
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

/** How far training has come in its images: the next crop is number `sample` of the `samples` in an epoch. */
const position = z.object({
  /** Epochs that are done. */
  epoch: z.number(),
  sample: z.number(),
  /** Null where they were not counted: then as many as there are now. */
  samples: z.number().nullable(),
});
export type KeptPosition = z.infer<typeof position>;

/** What a checkpoint keeps beside its tensors; of weights that were imported what stands for a training is its default. */
export const checkpointStateSchema = z.object({
  /** Of the optimizer. */
  updates: z.number().default(0),
  seed: z.number().default(0),
  /** SHA-256 over the contents trained on, in their order: a resumed run on other images is not the same run. */
  content: z.string().nullable().default(null),
  /** The same over row numbers and paths, where that of the contents is not known: they may be others all the same. */
  data: z.string().nullable().default(null),
  /** What an image's random draws are keyed by; older programs, which did not say it, used the number of its row. */
  draws: z.enum(['content', 'row']).default('row'),
  /** How a run computes: it goes on as it began, on whatever machine. There was fp32 alone before it was said. */
  precision: z.enum(['fp32', 'bf16', 'fp16']).default('fp32'),
  /** Of the loss in fp16: its factor, and updates since that was last changed. */
  scaling: z.object({ scale: z.number(), stable: z.number() }).default({ scale: 1, stable: 0 }),
  /** Of a fine-tuning that was tested. */
  accuracy: z.object({ top1: z.number().exactOptional(), top5: z.number().exactOptional() }).default({}),
  /** Null where an older program kept none: `Checkpoints` then says what it has seen. */
  position: position.nullable().default(null),
});
export type CheckpointState = Omit<z.infer<typeof checkpointStateSchema>, 'position'> & { position: KeptPosition };

/** Parts of a checkpoint; tensor names within a part are the published code's. */
export type TensorPart = 'student' | 'teacher' | 'exp_avg' | 'exp_avg_sq';
