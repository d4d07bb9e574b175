import { z } from 'zod';
import type { Checkpoint } from '../checkpoint.ts';
import type { DamagedRow } from '../damaged-row.ts';
import type { Evaluation } from '../evaluation.ts';
import type { Sign } from '../method.ts';
import { tagSchema } from '../names.ts';
import type { Metric, Notice, Run } from '../run.ts';
import { MOST_SEEDS } from '../statistics.ts';
import type { Verdict } from '../verdict.ts';
import type { ConfigCheck } from './recipes.ts';
import { byId, changes, channel, id, known, name, nothing, part, recipe, text } from './schemas.ts';
import type { Undo } from './started.ts';

/** Runs, fine-tunings too, and the queue. */

/** What a person writes about a run; what is not given stays. */
const annotation = {
  name: name.optional(),
  notes: text.optional(),
  tags: z.array(tagSchema).max(50).optional(),
};

/** The same, as it was before: older values need not meet today's rules. */
const annotated = {
  name: known.optional(),
  notes: text.optional(),
  tags: z.array(known).optional(),
};

/** What waits in the queue. */
const queueItem = z.strictObject({ kind: z.enum(['run', 'evaluation']), id });

export const RUNS = {
  'runs.list': channel<RunRow[]>()(nothing),
  /** Those that cannot be read, and so are not listed. */
  'runs.damaged': channel<DamagedRow[]>()(nothing),
  'runs.get': channel<RunDetail>()(byId),
  /** At most `points` of the steps `from` to `to`; means of neighbouring steps where there are more. */
  'runs.metrics': channel<Metric[]>()(
    z.strictObject({
      id,
      points: z.number().int().min(2).max(5000),
      from: z.number().int().min(0).nullable(),
      to: z.number().int().min(0).nullable(),
    }),
  ),
  /** Puts runs at the end of the queue: one, or one for each combination of the grid's values; with each of so many seeds. */
  'runs.create': channel<RunRow[]>()(
    z.strictObject({
      ...recipe,
      dataset: id,
      name: name.nullable(),
      grid: z.array(z.strictObject({ key: z.string().max(100), values: z.array(z.json()).min(1).max(50) })).max(2),
      seeds: z.number().int().min(1).max(MOST_SEEDS).optional(),
    }),
  ),
  'runs.pause': channel<RunRow>()(byId),
  'runs.stop': channel<RunRow>()(byId),
  /** Puts it at the end of the queue again, to go on from its last checkpoint. */
  'runs.resume': channel<RunRow>()(byId),
  /** Takes a run or an evaluation out of the queue's order and puts it before another; null for the end. */
  'queue.move': channel<Record<string, never>>()(z.strictObject({ item: queueItem, before: queueItem.nullable() })),
  /** Refused (`changed`) where something is not as it was `before` any more: another window has edited it. */
  'runs.annotate': channel<RunRow>()(
    z.strictObject({ id, ...annotation, before: z.strictObject(annotated).optional() }),
  ),
  'runs.delete': channel<Undo>()(z.strictObject({ ids: z.array(id).min(1).max(1000) })),
  /** Puts a fine-tuning at the end of the queue, with that of the untrained network, and of imported weights. */
  'finetune.start': channel<RunRow[]>()(
    z.strictObject({
      checkpoint: id,
      part,
      dataset: id,
      test_dataset: id.nullable(),
      official: z.boolean(),
      /** Over the published recipe: see `fineTuneSchema`. */
      settings: changes,
    }),
  ),
} as const;

export interface RunRow extends Run {
  dataset: string | null;
  last: Metric | null;
  /** It can be explored. */
  has_checkpoint: boolean;
  /** What should be known of it: `notices` of its details. */
  notice_count: number;
  /** What goes wrong with it, by its last steps; null where nothing does. */
  alarm: Sign | null;
  /** What is to be said of it in a sentence, with figures, cause and what to press; null for what was not pretrained here. */
  health: Verdict | null;
  /** Seconds that an image takes, by its last steps; null where none is known. */
  pace: number | null;
}

export interface RunDetail extends RunRow {
  checkpoints: Checkpoint[];
  evaluations: Evaluation[];
  notices: Notice[];
  metric_count: number;
  differs: ConfigCheck['differs'];
}
