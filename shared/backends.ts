import { z } from 'zod';

/** Backends by name; `cpu` is plain JavaScript, for tests. */
export const BACKENDS = ['tensorflow', 'webgpu', 'wasm', 'cpu'] as const;
export type BackendName = (typeof BACKENDS)[number];
/** What a person may choose: `auto` is the last trial's pick, else TensorFlow, else WASM. */
export const USES = ['auto', 'tensorflow', 'webgpu', 'wasm'] as const;
export type BackendUse = (typeof USES)[number];

/** What a trial found of one backend. */
export interface TrialResult {
  name: BackendName;
  device: string | null;
  /** By the median step after the first; null where it does not work. */
  images_per_s: number | null;
  /** Seconds until it was loaded, and of its first step, which compiles its kernels. */
  load_s: number | null;
  first_step_s: number | null;
  /** Steps that were timed. */
  steps: number;
  /** Why it does not work, or what to know about it; empty where there is nothing to say. */
  why: string;
}

/** What a trial of the backends found, and on which machine. */
export interface Trial {
  /** When, ms since 1970. */
  at: number;
  machine: Record<string, string>;
  results: TrialResult[];
  /** The fastest that works. */
  pick: BackendName | null;
}

export interface BackendChoice {
  use: BackendUse;
  trial: Trial | null;
  /** What is not as it was at the trial: its pick is not used while this names anything. */
  changed: string[];
}

/** What the arithmetic of a process runs on. */
export const backendInfoSchema = z.object({
  name: z.enum(BACKENDS),
  /** Of TensorFlow. */
  variant: z.enum(['cpu', 'cuda']).nullable(),
  /** In words. */
  device: z.string(),
  versions: z.record(z.string(), z.string()),
  /** Why this one. */
  why: z.string(),
  /** What the user should know, in plain words. */
  warnings: z.array(z.string()),
});
export type BackendInfo = z.infer<typeof backendInfoSchema>;
