import { z } from 'zod';
import { byId, channel, name, path } from './schemas.ts';

/** Checkpoints: deleting them, and importing weights as one. */

export const CHECKPOINTS = {
  'checkpoints.delete': channel<{ bytes: number }>()(byId),
  /** Reads weights (.safetensors or .pth) as a checkpoint of a run of their own; they stand beside what is evaluated. */
  'weights.import': channel<ImportedWeights>()(
    z.strictObject({
      file: path,
      name: name.nullable(),
      /** Attention heads, where the file does not say. */
      heads: z.number().int().min(1).max(1024).nullable(),
    }),
  ),
} as const;

export interface ImportedWeights {
  run: number;
  /** What the file does not say, and which value was assumed. */
  notes: string[];
  /** Tensors of the file that a ConMIM model does not have. */
  ignored: string[];
}
