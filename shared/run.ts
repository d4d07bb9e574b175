import { z } from 'zod';
import { backendInfoSchema } from './backends.ts';
import type { RunConfig } from './config.ts';
import type { ErrorReport } from './error-report.ts';
import type { FineTune } from './finetune.ts';

/** Runs, as the store keeps them. Times are milliseconds since 1970. */

/** A pretraining, the fine-tuning of one, or weights that were read from a file. */
export type RunKind = 'pretrain' | 'finetune' | 'imported';

export type RunStatus = 'queued' | 'running' | 'paused' | 'interrupted' | 'finished' | 'stopped' | 'failed';

/** Backend, device and versions that a run last computed on. */
export const runtimeSchema = backendInfoSchema.extend({
  /** Bytes that its process took at most; null until that has ended. */
  peak_memory: z.number().nullable().default(null),
});
export type Runtime = z.infer<typeof runtimeSchema>;

export const tagsSchema = z.array(z.string());

export interface Run {
  id: number;
  kind: RunKind;
  name: string;
  /** Null for weights that were imported. */
  dataset_id: number | null;
  preset: string | null;
  config: RunConfig;
  status: RunStatus;
  /** Step that was finished last. */
  step: number;
  total_steps: number;
  /** Steps in which every image is seen once: seldom a whole number. */
  steps_per_epoch: number;
  created_at: number;
  started_at: number | null;
  ended_at: number | null;
  /** Process that trains it, and its last heartbeat. */
  pid: number | null;
  heartbeat: number | null;
  /** What another process asks of the trainer. */
  request: 'pause' | 'stop' | null;
  error: ErrorReport | null;
  /** Null for one that did not begin yet. */
  runtime: Runtime | null;
  notes: string;
  tags: string[];
  /** Place in the queue, whose runs are started one after the other, the least first; null for a run that is not queued. */
  queue_position: number | null;
  /** What a fine-tuning needs to know; null for any other. */
  finetune: FineTune | null;
}

type Figures = Record<string, number | null>;

/** Looked through by hand, as there is a record of every step: Zod's own takes longer than reading them. */
export const figuresSchema = z.custom<Figures>(
  (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    for (const key in value) {
      const figure = (value as Figures)[key];
      if (figure !== null && typeof figure !== 'number') return false;
    }
    return true;
  },
  { error: 'expected a number or null by each name' },
);

/** One row per step. */
export interface Metric {
  step: number;
  /** Epoch of the last image that the step saw, from 0. */
  epoch: number;
  time: number;
  loss: number;
  /** What its method measures, by key: null where it was no number, missing where it was not measured at that step. */
  figures: Figures;
  grad_norm: number;
  lr: number;
  weight_decay: number;
  momentum: number;
  images_per_s: number;
  /** Share of the step's time spent waiting for data. */
  data_wait: number;
  /** Images that failed and were replaced in this step. */
  replaced: number;
}

/** What a person should know of a run: said while it trained, kept with it. */
export interface Notice {
  step: number;
  created_at: number;
  text: string;
}
