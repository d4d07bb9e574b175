import { z } from 'zod';
import type { ErrorReport } from '../errors.ts';
import { channel, nothing } from './schemas.ts';

/** Long work that windows start, and the undoing of deletions. */

export const TASKS = {
  'tasks.list': channel<Task[]>()(nothing),
  'tasks.cancel': channel<Record<string, never>>()(z.strictObject({ id: z.string().max(100) })),
  /** Shows the file that a task has written in the file manager of this machine, where that is possible. */
  'tasks.show': channel<{ path: string; shown: boolean }>()(z.strictObject({ id: z.string().max(100) })),
  'tasks.dismiss': channel<Record<string, never>>()(z.strictObject({ id: z.string().max(100) })),
  'undo.restore': channel<Record<string, never>>()(z.strictObject({ undo: z.string().max(100) })),
} as const;

export interface Undo {
  undo: string;
  what: string;
}

export interface TaskRef {
  task: string;
}

export type TaskKind =
  | 'accuracy'
  | 'index'
  | 'map'
  | 'import'
  | 'rescan'
  | 'prepare'
  | 'estimate'
  | 'evaluate'
  | 'embeddings'
  | 'health'
  | 'probes'
  | 'doctor'
  | 'check'
  | 'trial'
  | 'install';

/** Long work that a window started. */
export interface Task {
  id: string;
  kind: TaskKind;
  title: string;
  status: 'waiting' | 'running' | 'done' | 'failed' | 'canceled';
  /** What it does now. */
  phase: string;
  done: number;
  /** 0 where not known. */
  total: number;
  started_at: number;
  ended_at: number | null;
  error: ErrorReport | null;
  /** By kind: `ImportSummary`, `PrepareSummary`, `Cost`, evaluation, `DoctorReport`, `Trial`. */
  result: unknown;
  cancelable: boolean;
  /** Of an evaluation: its number in the queue, and its place among what waits (the least is next; null: none). */
  queued: { id: number; position: number | null } | null;
}
