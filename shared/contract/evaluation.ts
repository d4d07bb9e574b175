import { z } from 'zod';
import { EVALUATION_TASKS, type Evaluation } from '../evaluation.ts';
import type { LeftOut } from '../left-out.ts';
import { channel, id, name, path, replace } from './schemas.ts';
import type { TaskRef } from './started.ts';

/** Evaluations, and the report on the health of features. */

export const EVALUATION = {
  'evaluations.list': channel<Evaluation[]>()(z.strictObject({ run: id.nullable() })),
  /** Puts an evaluation at the end of the queue. Its task waits, and is there again after a restart until it has ended. */
  'evaluations.start': channel<TaskRef<'evaluate'>>()(
    z.strictObject({
      checkpoint: id,
      dataset: id,
      test_dataset: id.nullable(),
      task: z.enum(EVALUATION_TASKS).exclude(['finetune']),
      k: z.number().int().min(1).max(1000),
      /** Whether weights that were imported are evaluated too, where there are any. */
      official: z.boolean(),
    }),
  ),
  /** Collapse and short cuts, beside the untrained network, for a page of the window. */
  'health.measure': channel<TaskRef<'health-page'>>()(z.strictObject({ checkpoint: id, dataset: id })),
  /** The same as one HTML file. */
  'health.report': channel<TaskRef<'health'>>()(
    z.strictObject({
      checkpoint: id,
      dataset: id,
      images: z.number().int().min(4).max(100_000),
      folder: path,
      file: name,
      replace,
    }),
  ),
} as const;

/** A report on health as a window shows it: the result of its task. */
export interface HealthShown {
  /** What the file has below its title; its texts are escaped. */
  html: string;
}

/** A report on health that was written: the result of its task. */
export interface HealthWritten {
  file: string;
  images: number;
  /** Images that could not be read, and are in no figure. */
  left_out: LeftOut[];
}
