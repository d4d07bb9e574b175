/** Which network a fine-tuning starts from: the checkpoint's, the same untrained, or imported weights. */
export const STARTS = ['trained', 'untrained', 'official'] as const;
export type Start = (typeof STARTS)[number];

/** What a run that fine-tunes is told beside its configuration. */
export interface FineTune {
  /** Runs of one comparison have the same. */
  group: string;
  start: Start;
  /** The checkpoint in question; the comparison's figures are stored with it. */
  checkpoint_id: number;
  /** Its run. */
  run_id: number;
  /** Where the weights come from: another one for `official`. */
  source_id: number;
  part: 'student' | 'teacher';
  /** Null: about a fifth of each class of the run's dataset. */
  test_dataset_id: number | null;
  /**
   * Without test images of their own: contents that are a test because their class had no other. Absent in runs of an
   * older program, whose fifth was chosen by rank.
   */
  lone?: string[];
  /** In the order of the classifier's outputs. */
  classes: string[];
  /** Complete, and read by the method's schema, which alone knows what they are. */
  settings: Readonly<Record<string, unknown>>;
}
