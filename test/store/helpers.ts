import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { onTestFinished } from 'vitest';
import { Store } from '../../electron/store/store.ts';
import { conmimSchema as runConfigSchema } from '../../methods/conmim/schema.ts';
import { fineTuneSchema } from '../../methods/supervised/config.ts';
import type { RunConfig } from '../../shared/config.ts';
import type { ImageRow } from '../../shared/dataset.ts';
import type { FineTune } from '../../shared/finetune.ts';
import type { Metric, Runtime } from '../../shared/run.ts';
import type { StateDict } from '../../shared/tensors.ts';

/** A folder that is gone after the test. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'conmim-store-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A store in a file of its own, with a dataset and a run. */
export function newStore() {
  const path = join(scratch(), 'workbench.sqlite');
  const store = Store.open(path);
  onTestFinished(() => store.close());
  const dataset = store.datasets.create({ name: 'photos', folders: ['/a', '/b'], labels: 'folders' });
  const run = store.runs.create({
    dataset_id: dataset.id,
    preset: null,
    config: CONFIG,
    total_steps: 100,
    steps_per_epoch: 2,
  });
  return { path, store, dataset, run };
}

export const CONFIG: RunConfig = runConfigSchema.parse({});

export const RUNTIME: Runtime = {
  name: 'wasm',
  variant: null,
  device: 'CPU, WebAssembly',
  versions: { tfjs: '4' },
  why: '',
  warnings: [],
  peak_memory: null,
};

/** What a fine-tuning of checkpoint 1 is told. */
export const TUNE: FineTune = {
  group: 'g',
  start: 'trained',
  checkpoint_id: 1,
  run_id: 1,
  source_id: 1,
  part: 'student',

  test_dataset_id: null,
  lone: ['h'],
  has_positions: true,
  classes: ['a', 'b'],
  settings: fineTuneSchema.parse({}),
};

export function image(path: string, rest: Partial<ImageRow> = {}): Omit<ImageRow, 'id' | 'dataset_id'> {
  const same = { folder: 0, bytes: 10, mtime: 1.5, width: 3, height: 4, format: 'jpeg', label: null };
  return {
    ...same,
    path,
    hash: `hash of ${path}`,
    status: 'ok',
    reason: null,
    detail: null,
    note: null,
    rules: 0,
    ...rest,
  };
}

export function metric(step: number, rest: Partial<Metric> = {}): Metric {
  return {
    step,
    epoch: step / 2,
    time: 1000 + step,
    loss: 5 - step / 100,
    figures: { top1: 0.1, top5: 0.5 },
    grad_norm: 1,
    lr: 1e-3,
    weight_decay: 0.05,
    momentum: 0.99,
    images_per_s: 20,
    data_wait: 0.1,
    replaced: 0,
    ...rest,
  };
}

/** Tensors whose values tell the seed; 4 * 16 * 256 bytes of data in each of `count`. */
export function state(seed: number, count = 4): StateDict {
  return new Map(
    Array.from({ length: count }, (_, i) => {
      const data = Float32Array.from({ length: 16 * 256 }, (_, j) => Math.fround(Math.sin(seed * 31 + i * 7 + j)));
      return [`blocks.${i}.weight`, { shape: [16, 256], data }];
    }),
  );
}

export function catchError(act: () => unknown): unknown {
  try {
    act();
    return null;
  } catch (error) {
    return error;
  }
}

/** What a disk would do: it knows no checksums. */
export function behindItsBack(path: string, act: (raw: Database.Database) => void): void {
  const raw = new Database(path);
  act(raw);
  raw.close();
}
