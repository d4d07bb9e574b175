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
      /** Whose weights they are; null: as the file says, or its tensors. */
      method: name.nullable(),
      /** What the file does not say, dotted: `model.num_heads`. */
      settings: z.record(z.string().max(100), z.number()),
    }),
  ),
} as const;

export interface ImportedWeights {
  run: number;
  /** Title of the method that they were read as. */
  method: string;
  /** What the file does not say, and which value was assumed. */
  notes: string[];
  /** Tensors of the file that the method's networks do not have. */
  ignored: string[];
}
