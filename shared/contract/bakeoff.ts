import { z } from 'zod';
import { type BakeOffPlan, type BakeOffRow, type BakeOffSummary, bakeOffSchema, entryCostSchema } from '../bakeoff.ts';
import type { DamagedRow } from '../damaged-row.ts';
import { byId, channel, nothing } from './schemas.ts';
import type { TaskRef } from './started.ts';

/** Bake-offs: methods that are held against each other. */

/** What is asked for, with what its entries cost as far as that was measured: null for one that was not. */
const withCosts = z.strictObject({ asked: bakeOffSchema, costs: z.array(entryCostSchema.nullable()).max(100) });

export const BAKE_OFFS = {
  'bakeoffs.list': channel<BakeOffRow[]>()(nothing),
  /** Those that cannot be read, and so are not listed. */
  'bakeoffs.damaged': channel<DamagedRow[]>()(nothing),
  'bakeoffs.get': channel<BakeOffSummary>()(byId),
  /** What it takes, as far as that can be said; refused where it cannot be used. */
  'bakeoffs.check': channel<BakeOffPlan>()(withCosts),
  /** Measures a few steps of each entry. The task's result is an `EntryCost` for each. */
  'bakeoffs.measure': channel<TaskRef<'bakeoff'>>()(z.strictObject({ asked: bakeOffSchema })),
  /** Puts its runs at the end of the queue. A budget of minutes or of products needs costs. */
  'bakeoffs.start': channel<{ id: number }>()(withCosts),
  /** Puts what is left to do in the queue, also what failed or was deleted. */
  'bakeoffs.continue': channel<Record<string, never>>()(byId),
  /** Forgets it; its runs stay. */
  'bakeoffs.delete': channel<Record<string, never>>()(byId),
  /** All of it as one HTML document that needs nothing beside it. */
  'bakeoffs.report': channel<{ html: string }>()(byId),
} as const;
