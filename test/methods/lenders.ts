import { createRun } from '../../electron/services/runs/runs.ts';
import type { Store } from '../../electron/store/store.ts';
import { pretrainingData } from '../../electron/trainer/run-data.ts';
import { Training } from '../../electron/trainer/training.ts';
import { METHODS, methodOf } from '../../methods/index.ts';
import type { RunConfig } from '../../shared/config.ts';
import { tinyConfig } from './tiny.ts';

/** Trains a run to its end. Needs a backend. */
export async function trainRun(store: Store, dataset: string, config: RunConfig): Promise<number> {
  const run = createRun(store, { dataset, config, preset: null });
  const events = { onMetric: () => {}, onCheckpoint: () => {}, onNotice: () => {}, request: () => null };
  await new Training(store, run, events, pretrainingData(store, run)).train();
  // Its process says so where there is one.
  store.runs.update(run.id, { status: 'finished', ended_at: Date.now() });
  return run.id;
}

/** Trains, for a step each, what a run takes over from others: of every method that can lend the first, as its presets have it. */
export async function trainLenders(store: Store, dataset: string, config: RunConfig): Promise<void> {
  for (const borrowing of methodOf(config).borrows?.(config) ?? []) {
    const possible = METHODS.flatMap((method) =>
      method.presets.map(({ name }) => tinyConfig({ ...method, defaultPreset: name }, { steps: 1 })),
    );
    const lender = possible.find((one) => borrowing.refuses(one) === null);
    if (!lender) throw new RangeError(`no method can lend a ${borrowing.what}`);
    await trainLenders(store, dataset, lender);
    await trainRun(store, dataset, lender);
  }
}
