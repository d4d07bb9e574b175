import { z } from 'zod';
import { type BackendChoice, type BackendInfo, USES } from '../backends.ts';
import type { ErrorReport } from '../errors.ts';
import type { RetrievalIndex } from '../retrieval.ts';
import { channel, nothing, path } from './schemas.ts';
import type { TaskRef } from './started.ts';

/** The machine: its backends, what is stored on it, and how busy it is. */

export const MACHINE = {
  'runtime.doctor': channel<TaskRef<'doctor'>>()(nothing),
  /** What is chosen, and what the last trial found. */
  'runtime.choice': channel<BackendChoice>()(nothing),
  /** Tries every backend for a few seconds; where a trial is going on already, it is that one. */
  'runtime.trial': channel<TaskRef<'trial'>>()(nothing),
  /** Runs that start from now on compute with it. */
  'runtime.use': channel<Record<string, never>>()(z.strictObject({ backend: z.enum(USES) })),
  'runtime.install': channel<TaskRef<'install'>>()(z.strictObject({ variant: z.enum(['cpu', 'cuda']) })),
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

/** What the program runs on, and what would make it faster. Sizes are bytes. */
export interface DoctorReport {
  versions: Record<string, string>;
  platform: string;
  cpu: { model: string; cores: number };
  memory: { total: number; free: number };
  /** As `nvidia-smi` names them; none where there is no driver. */
  gpus: string[];
  backend: BackendInfo;
  /** What was chosen, and what the last trial found. */
  choice: BackendChoice;
  folders: { name: string; path: string; bytes: number; free: number }[];
  /** Null where there is none yet. */
  database: DatabaseReport | null;
  advice: string[];
}

/** What is known of the database. */
export interface DatabaseReport {
  path: string;
  bytes: number;
  /** Of its structure, by this check or the last one; null where none was made. */
  found: Findings | null;
  /** Of what was written into it; null where that was not read. */
  checkpoints: Checked | null;
  /** Of rows that are kept as JSON; null where they were not read. */
  rows: Unreadable[] | null;
  /** Why it cannot be opened. */
  error: ErrorReport | null;
}

/** What a check of the database's structure found. */
export interface Findings {
  at: number;
  /** SQLite's words; none where it is sound. */
  problems: string[];
}

/** Rows of a column that cannot be read. */
export interface Unreadable {
  /** With its table: `runs.tags`. */
  column: string;
  rows: number;
  /** What is wrong with the first of them, and what to do. */
  first: ErrorReport[];
}

/** How much of what is kept can be checked. */
export interface Checked {
  /** Tensors that were read and are as they were written. */
  sound: number;
  /** Tensors without a checksum. */
  unknown: number;
  damaged: { checkpoint: number; run: string; step: number; why: string }[];
}
