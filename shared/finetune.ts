import { z } from 'zod';

/** Which network a fine-tuning starts from: the checkpoint's, the same untrained, or imported weights. */
export const STARTS = ['trained', 'untrained', 'official'] as const;
export type Start = (typeof STARTS)[number];

/** Settings of a method that needs labels, complete; its schema alone knows what they are. */
export type LabelledSettings = Readonly<Record<string, unknown>>;

/** What a run that fine-tunes is told beside its configuration. */
export const tuneSchema = z.object({
  /** Runs of one comparison have the same. */
  group: z.string(),
  start: z.enum(STARTS),
  /** The checkpoint in question; the comparison's figures are stored with it. */
  checkpoint_id: z.number(),
  /** Its run. */
  run_id: z.number(),
  /** Where the weights come from: another one for `official`. */
  source_id: z.number(),
  part: z.enum(['student', 'teacher']),
  /** Null: about a fifth of each class of the run's dataset. */
  test_dataset_id: z.number().nullable(),
  /**
   * Without test images of their own: contents that are a test because their class had no other. Null where the fifth was
   * chosen by rank, as an older program did, which said nothing here.
   */
  lone: z.array(z.string()).nullable().default(null),
  /** Whether fixed positions are added to the tokens, as its encoder has them: an older program left them out. */
  has_positions: z.boolean().default(true),
  /** In the order of the classifier's outputs. */
  classes: z.array(z.string()),
  /** `LabelledSettings`. */
  settings: z.record(z.string(), z.unknown()).readonly(),
});
export type FineTune = z.infer<typeof tuneSchema>;
