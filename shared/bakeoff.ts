import { z } from 'zod';
import { modelSchema, type RunConfig } from './config.ts';
import type { EvaluationTask } from './evaluation.ts';
import { nameSchema } from './names.ts';
import type { RunStatus } from './run.ts';
import { type Comparison, MOST_SEEDS, type Spread } from './statistics.ts';

/** Bake-offs: methods on the same images, with the same encoder, budget and evaluations, over several seeds. */

/** More methods than this are a table that nobody reads. */
export const MOST_ENTRIES = 20;

const positive = z.number().positive();
const { image_size, patch_size, embed_dim, depth, num_heads, mlp_ratio } = modelSchema.shape;

/** What of an encoder is the same for every method: its size. How it knows its places, and from what it starts, is the method's. */
export const encoderSchema = z.strictObject({
  image_size: image_size.removeDefault(),
  patch_size: patch_size.removeDefault(),
  embed_dim: embed_dim.removeDefault(),
  depth: depth.removeDefault(),
  num_heads: num_heads.removeDefault(),
  mlp_ratio: mlp_ratio.removeDefault(),
});
export type Encoder = z.output<typeof encoderSchema>;
export const ENCODER_KEYS = Object.keys(encoderSchema.shape) as (keyof Encoder)[];

/** What every run of a bake-off may take: images that it sees, minutes on this machine, or products of matrices. */
export const budgetSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('images'), images: positive.int().max(1e12) }),
  z.strictObject({ kind: z.literal('minutes'), minutes: positive.max(1e6) }),
  z.strictObject({ kind: z.literal('flops'), flops: positive.max(1e24) }),
]);
export type Budget = z.output<typeof budgetSchema>;

/** Evaluations of frozen features that a bake-off may ask for: those of every method. */
export const BAKE_OFF_TASKS = ['knn', 'linear', 'fewshot', 'labelfree'] as const satisfies readonly EvaluationTask[];
export type BakeOffTask = (typeof BAKE_OFF_TASKS)[number];

/** Those that need classes. */
export const needsClasses = (task: BakeOffTask) => task !== 'labelfree';
/** Those of images with classes, or without. */
export const tasksFor = (isLabelled: boolean): BakeOffTask[] =>
  BAKE_OFF_TASKS.filter((task) => isLabelled || !needsClasses(task));

export const bakeOffSchema = z.strictObject({
  name: nameSchema,
  dataset: z.number().int().positive(),
  /** Null: about a fifth of each class is the test. */
  test_dataset: z.number().int().positive().nullable(),
  /** A preset each, which says the method, and settings over it; its encoder, steps and seed are the bake-off's. */
  entries: z
    .array(z.strictObject({ preset: z.string().min(1).max(10_000), changes: z.record(z.string().max(100), z.json()) }))
    .min(1)
    .max(MOST_ENTRIES),
  encoder: encoderSchema,
  budget: budgetSchema,
  seeds: z.number().int().min(1).max(MOST_SEEDS),
  tasks: z.array(z.enum(BAKE_OFF_TASKS)),
  /** Beside them: the same encoder trained with labels from its start, and the pixels themselves. */
  supervised: z.boolean(),
  pixels: z.boolean(),
  /** Epochs of a fine-tuning of each network; null for none. */
  finetune: z.number().int().positive().max(10_000).nullable(),
});
export type AskedBakeOff = z.output<typeof bakeOffSchema>;

/** What a step of an entry costs here, as it was measured. */
export const entryCostSchema = z.strictObject({
  images_per_s: positive,
  /** Of an image, in products of matrices; null where they cannot be counted. */
  flops_per_image: positive.nullable(),
  /** Bytes. */
  peak_memory: positive,
  warning: z.string().max(10_000).nullable(),
});
export type EntryCost = z.output<typeof entryCostSchema>;

const plannedEntrySchema = (config: z.ZodType<RunConfig>) =>
  z.object({
    preset: z.string(),
    /** Name of its method. */
    method: z.string(),
    /** What it is called in this bake-off: its method, and its preset where another has the same method. */
    title: z.string(),
    /** Complete, of the first seed. */
    config,
    /** Null of a budget for which it has to be measured first. */
    steps: z.number().nullable(),
    /** Images that a run sees. */
    images: z.number().nullable(),
    parameters: z.number(),
    checkpoint_bytes: z.number(),
    /** Null where it was not measured. */
    cost: entryCostSchema.nullable(),
  });
export type PlannedEntry = z.output<ReturnType<typeof plannedEntrySchema>>;

/**
 * What a bake-off takes, as it can be said before it is begun.
 * @param config reads a configuration: what is in one is its method's to say
 */
export const bakeOffPlanSchema = (config: z.ZodType<RunConfig>) =>
  z.object({
    dataset: z.string(),
    test_dataset: z.string(),
    /** Images that are pretrained on. */
    images: z.number(),
    entries: z.array(plannedEntrySchema(config)),
    /** Epochs of training with labels; null where it is not asked for, or not known yet. */
    supervised_epochs: z.number().nullable(),
    /** Pretrainings, trainings with labels, and evaluations. */
    runs: z.number(),
    labelled_runs: z.number(),
    evaluations: z.number(),
    /** About how long all takes; null where not everything was measured. */
    seconds: z.number().nullable(),
    /** Bytes of checkpoints. */
    disk: z.number(),
    /** Most that a run takes, bytes; null where not everything was measured. */
    memory: z.number().nullable(),
    notices: z.array(z.string()),
  });
export type BakeOffPlan = z.output<ReturnType<typeof bakeOffPlanSchema>>;

/** What a run is for in its bake-off. */
export const ROLES = ['pretrain', 'finetune', 'supervised'] as const;
export type Role = (typeof ROLES)[number];

export interface BakeOffRun {
  run_id: number;
  role: Role;
  /** Place among the entries. */
  entry: number;
  seed: number;
  /** Whether what follows from its end has been put in the queue. */
  is_tended: boolean;
}

/** A bake-off as the store keeps it. */
export interface BakeOff {
  id: number;
  name: string;
  created_at: number;
  /** Null where they were forgotten since. */
  dataset_id: number | null;
  test_dataset_id: number | null;
  asked: AskedBakeOff;
  plan: BakeOffPlan;
  runs: BakeOffRun[];
}

/** A column of the table. */
export interface Column {
  key: string;
  title: string;
  scale: 'share' | 'number' | 'bytes';
  /** Whether the page shows it at once. */
  isMain: boolean;
  /** Whether a larger value is better; null where neither is. */
  isHigherBetter: boolean | null;
  /** What it is, in a sentence. */
  about: string;
}

export interface Cell {
  /** Of what has no seed, one value. */
  values: { seed: number | null; value: number }[];
  spread: Spread;
}

export interface TableRow {
  kind: 'method' | 'untrained' | 'supervised' | 'pixels';
  title: string;
  /** Place among the entries; null of what is no entry. */
  entry: number | null;
  /** Of an untrained network, the entries that begin as it; empty of what is none. */
  starts: readonly number[];
  /** By column; missing where nothing is known yet. */
  cells: Record<string, Cell>;
}

/** Two rows in one column. */
export interface Pair extends Comparison {
  column: string;
  a: string;
  b: string;
}

export interface SummaryRun extends BakeOffRun {
  name: string;
  status: RunStatus;
  step: number;
  total_steps: number;
}

/** All that the page of a bake-off shows. */
export interface BakeOffSummary extends Omit<BakeOff, 'runs'> {
  columns: Column[];
  rows: TableRow[];
  pairs: Pair[];
  /** What the figures say, in sentences. */
  findings: string[];
  notices: string[];
  runs: SummaryRun[];
  state: BakeOffState;
  /** Runs and evaluations that are done, and all. */
  done: number;
  total: number;
  /** Evaluations that failed, with their reason. */
  failed: { name: string; what: string }[];
}

/** `halted`: something is left to do, and nothing of it waits or is worked at. */
export type BakeOffState = 'going' | 'halted' | 'finished';

export interface BakeOffRow {
  id: number;
  name: string;
  created_at: number;
  dataset: string;
  methods: string[];
  state: BakeOffState;
  done: number;
  total: number;
}
