import { z } from 'zod';

/** What code tells errors apart by, and what crosses a process boundary. */
export const ERROR_KINDS = [
  'bad-input', // an argument, option or configuration value that cannot be used
  'not-found', // a dataset, run, checkpoint or file that is not there
  'conflict', // a name taken, a run already running
  'changed', // what was edited has been changed elsewhere meanwhile
  'bad-file', // a file whose content cannot be read or is refused
  'newer-format', // written by a newer version of this program
  'data-vanished', // the image folder is gone during a run or an import
  'diverged', // a loss or gradient that is not finite
  'out-of-memory', // a step, or what was asked for, does not fit into memory
  'no-backend', // no TensorFlow or WASM backend can be used
  'canceled', // the user stopped it
  'no-connection', // a window lost the program behind it
  'trainer-died', // the training process ended without a word
  'internal', // a fault of this program
] as const;
export type ErrorKind = (typeof ERROR_KINDS)[number];

/** An error as it is kept, and as it crosses a process boundary. */
export const errorReportSchema = z.object({
  kind: z.enum(ERROR_KINDS),
  what: z.string(),
  why: z.string(),
  next: z.string(),
  /** Something with this name exists and may be overwritten: ask the user, then call again with `replace`. */
  exists: z.string().optional(),
});
export type ErrorReport = z.infer<typeof errorReportSchema>;
