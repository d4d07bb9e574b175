import { z } from 'zod';
import { type BackendChoice, USES } from '../backends.ts';
import type { RetrievalIndex } from '../retrieval.ts';
import { channel, nothing, path } from './schemas.ts';
import type { TaskRef } from './tasks.ts';

/** The machine: its backends, what is stored on it, and how busy it is. */

export const MACHINE = {
  'runtime.doctor': channel<TaskRef>()(nothing),
  /** What is chosen, and what the last trial found. */
  'runtime.choice': channel<BackendChoice>()(nothing),
  /** Tries every backend for a few seconds; where a trial is going on already, it is that one. */
  'runtime.trial': channel<TaskRef>()(nothing),
  /** Runs that start from now on compute with it. */
  'runtime.use': channel<Record<string, never>>()(z.strictObject({ backend: z.enum(USES) })),
  'runtime.install': channel<TaskRef>()(z.strictObject({ variant: z.enum(['cpu', 'cuda']) })),
  'runtime.storage': channel<Storage>()(nothing),
  'runtime.remove': channel<{ bytes: number }>()(z.strictObject({ path })),
} as const;

export interface Storage {
  home: { path: string; bytes: number; free: number };
  runs: { id: number; name: string; checkpoints: number; bytes: number }[];
  indexes: {
    id: number;
    /** Of the run and the dataset. */
    run: string;
    dataset: string;
    step: number;
    part: RetrievalIndex['part'];
    feature: string;
    images: number;
    is_ready: boolean;
    bytes: number;
  }[];
  prepared: { id: number; dataset: string; size: number; images: number; missing: number; bytes: number }[];
  runtimes: { path: string; name: string; bytes: number; in_use: boolean }[];
  thumbnails: { path: string; bytes: number };
}

export interface Usage {
  /** 0 to 1, of all cores. */
  cpu: number;
  memory: { used: number; total: number };
  /** Use by the process that trains; null where none does. */
  trainer: { run: number; cpu: number; memory: number } | null;
  gpus: { name: string; use: number; memory_used: number; memory_total: number }[];
}
