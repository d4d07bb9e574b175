import { z } from 'zod';
import type { Trial } from '../backends.ts';
import type { EntryCost } from '../bakeoff.ts';
import type { ErrorReport } from '../errors.ts';
import type { Evaluated } from '../evaluation.ts';
import type { DatasetScan, PrepareSummary } from './datasets.ts';
import type { HealthShown, HealthWritten } from './evaluation.ts';
import type { LookupAccuracy } from './explore.ts';
import type { EmbeddingReport } from './export.ts';
import type { DoctorReport } from './machine.ts';
import type { Cost } from './recipes.ts';
import type { BuildReport } from './retrieval.ts';
import { channel, nothing } from './schemas.ts';
import type { TaskKind } from './started.ts';

/** Long work that windows start, and the undoing of deletions. */

export const TASKS = {
  'tasks.list': channel<Task[]>()(nothing),
  'tasks.cancel': channel<Record<string, never>>()(z.strictObject({ id: z.string().max(100) })),
  /** Shows the file that a task has written in the file manager of this machine, where that is possible. */
  'tasks.show': channel<{ path: string; shown: boolean }>()(z.strictObject({ id: z.string().max(100) })),
  'tasks.dismiss': channel<Record<string, never>>()(z.strictObject({ id: z.string().max(100) })),
  'undo.restore': channel<Record<string, never>>()(z.strictObject({ undo: z.string().max(100) })),
} as const;

/** What a task of each kind gives when it is done. */
export interface TaskResults {
  accuracy: LookupAccuracy;
  /** Of one checkpoint, or how many were built of several. */
  index: BuildReport | { built: number };
  map: { images: number };
  import: DatasetScan;
  rescan: DatasetScan;
  prepare: PrepareSummary;
  estimate: Cost;
  /** Of each entry, in their order. */
  bakeoff: EntryCost[];
  /** Null where another process of the program worked at it. */
  evaluate: Evaluated | null;
  embeddings: EmbeddingReport;
  health: HealthWritten;
  'health-page': HealthShown;
  probes: { computed: number };
  doctor: DoctorReport;
  check: Record<string, never>;
  trial: Trial;
  install: Record<string, never>;
}

/** Long work that a window started, of one kind. */
export type TaskOf<K extends TaskKind> = TaskState & { kind: K } & (
    | { status: 'done'; result: TaskResults[K] }
    | { status: 'waiting' | 'running' | 'failed' | 'canceled'; result: null }
  );
/** Of any kind: `kind` and `status` say what its result is. */
export type Task = { [K in TaskKind]: TaskOf<K> }[TaskKind];

interface TaskState {
  id: string;
  title: string;
  /** What it does now. */
  phase: string;
  done: number;
  /** 0 where not known. */
  total: number;
  started_at: number;
  ended_at: number | null;
  error: ErrorReport | null;
  cancelable: boolean;
  /** Of an evaluation: its number in the queue, and its place among what waits (the least is next; null: none). */
  queued: { id: number; position: number | null } | null;
}
