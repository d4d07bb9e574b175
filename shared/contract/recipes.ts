import { z } from 'zod';
import type { BudgetKey } from '../budgets.ts';
import type { RunConfig } from '../config.ts';
import type { FieldMeta } from '../method.ts';
import { channel, id, known, name, nothing, recipe, replace, text } from './schemas.ts';
import type { TaskRef } from './started.ts';

/** Configurations: their fields, presets, what they cost, and what the loader makes of images by them. */

export const RECIPES = {
  'config.fields': channel<Record<string, ConfigField[]>>()(nothing),
  'presets.list': channel<PresetRow[]>()(nothing),
  'presets.save': channel<PresetRow>()(z.strictObject({ name, title: text, ...recipe, replace })),
  'presets.delete': channel<Record<string, never>>()(z.strictObject({ name: known })),
  /** Every problem of a configuration at once, and what follows from it. */
  'config.check': channel<ConfigCheck>()(z.strictObject({ ...recipe, dataset: id.nullable() })),
  /** Time, memory and disk, by measuring a few steps in a process of its own. */
  'config.estimate': channel<TaskRef<'estimate'>>()(z.strictObject({ ...recipe, dataset: id })),
  /** What the loader would make of images: both views, and the mask. Pictures are data URLs. */
  'lab.preview': channel<LabPreview[]>()(
    z.strictObject({
      ...recipe,
      dataset: id,
      images: z.array(id).max(12),
      /** Which draw of the random numbers. */
      draw: z.number().int().min(0),
    }),
  ),
} as const;

/** A field of a configuration, for a form. */
export interface ConfigField {
  /** `section.field`. */
  key: string;
  kind: 'number' | 'integer' | 'boolean' | 'choice' | 'range' | 'numbers';
  nullable: boolean;
  choices: string[] | null;
  min: number | null;
  max: number | null;
  /** Unit, meaning and source. */
  description: string;
  default: unknown;
  /** How it is shown. */
  meta: FieldMeta;
}

export interface PresetRow {
  name: string;
  title: string;
  source: string;
  meant_for: string;
  /** How long it took, and what came out. */
  expected?: string;
  /** How much time it is suggested for, and why. */
  serves?: { budgets: readonly BudgetKey[]; why: string };
  config: RunConfig;
  /** Saved by the user. */
  own: boolean;
}

export interface ConfigProblem {
  /** Dotted key; empty for the whole. */
  key: string;
  message: string;
  /** What to do: the nearest valid value. */
  next: string;
}

export interface ConfigCheck {
  /** Null where there are problems. */
  config: RunConfig | null;
  problems: ConfigProblem[];
  /** Where it differs from the preset. */
  differs: { key: string; preset: unknown; value: unknown }[];
  /** Null where there are problems, or no dataset. */
  plan: {
    images: number;
    steps: number;
    steps_per_epoch: number;
    /** Patches of an image: keys of its dictionary. */
    K: number;
    masked: number;
    /** Where settings work out differently from what they say, or do not fit together; each with the setting to change. */
    notices: string[];
    parameters: number;
    checkpoint_bytes: number;
    /** At most 200 points over the whole run. */
    curves: { step: number[]; lr: number[]; weight_decay: number[]; momentum: number[] };
  } | null;
}

export interface Cost {
  /** Whole run. */
  seconds: number;
  images_per_s: number;
  /** Floating-point operations that a step takes for an image, in products of matrices; null where they cannot be counted. */
  flops_per_image: number | null;
  peak_memory: number;
  checkpoint_bytes: number;
  steps: number;
  /** How each figure was obtained. */
  how: string;
  /** A warning where it will not fit into memory, with the setting that would change that. */
  warning: string | null;
}

export interface LabPreview {
  image: number;
  /** Of its content as it was imported. */
  hash: string;
  path: string;
  width: number;
  height: number;
  /** Patches along a side of a view that the mask hides patches of. */
  grid: number;
  views: {
    title: string;
    /** Row by row; true where it hides a patch. Empty for a view that is seen whole. */
    mask: boolean[];
    /** Data URL. */
    picture: string;
    crop: { left: number; top: number; width: number; height: number };
  }[];
  /** What was drawn for the views, in words. */
  drawn: string[];
}

/** What steps on micro-batches of one size cost. */
export interface SizeCost {
  batch: number;
  /** Of the fastest step. */
  seconds: number;
  /** Most that the process had resident by then, bytes. */
  peak: number;
  /** Floating-point operations of an image, in products of matrices; null where they cannot be counted. */
  flops: number | null;
}
