import { randomUUID } from 'node:crypto';
import { FINE_TUNING, requireNetwork } from '../../../methods/index.ts';
import type { RunConfig } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import type { LabelledSettings, Start } from '../../../shared/finetune.ts';
import type { Run } from '../../../shared/run.ts';
import type { Store } from '../../store/store.ts';
import { splitLabelled } from '../../trainer/labelled.ts';
import { stepsOf, stepsPerEpoch } from '../../trainer/training-images.ts';
import { contestants } from '../evaluation/contestants.ts';
import { parseConfig } from '../recipes/configuration.ts';

export { labelNotices } from '../../trainer/labelled.ts';

export interface NewFineTuning {
  checkpoint: number;
  part: 'student' | 'teacher';
  dataset: string | number;
  /** Without it a fixed fifth of each class is the test. */
  testDataset?: string | number | undefined;
  /** As `contestants` takes it. */
  official?: number | null | undefined;
  /** Of these alone; all where it is left out. */
  starts?: readonly Start[];
  /** Over the published recipe. */
  settings: Record<string, unknown>;
}

const ENDING: Record<Start, string> = { trained: ', trained', untrained: ', untrained', official: ', imported' };

/**
 * Puts a fine-tuning of a checkpoint in the store, with that of the untrained network and of imported weights: a run
 * each, ready to be started, of the same recipe.
 * @throws AppError not-found, bad-input
 */
export function createFineTunings(store: Store, asked: NewFineTuning): Run[] {
  const checkpoint = store.checkpoints.get(asked.checkpoint);
  const { name, kind } = store.runs.get(checkpoint.run_id);
  if (kind === 'finetune') {
    const next = 'Choose a checkpoint of the pretraining.';
    throw new AppError('bad-input', `Run "${name}" is a fine-tuning itself.`, '', next);
  }
  requireNetwork(checkpoint.config, asked.part);
  const settings = parseFineTune(asked.settings);
  const dataset = store.datasets.get(asked.dataset);
  const test = asked.testDataset === undefined ? null : store.datasets.get(asked.testDataset).id;
  const { train, classes, lone } = splitLabelled(store, dataset.id, test);
  const group = randomUUID();
  const wanted = contestants(store, checkpoint, asked.official).filter(
    ({ start }) => asked.starts?.includes(start) ?? true,
  );
  return wanted.map((one) => {
    const config = fineTuneConfig(one.config, settings);
    const steps_per_epoch = stepsPerEpoch(train.length, config);
    return store.runs.create({
      name: store.runs.freeName(`${name}, fine-tuned on ${dataset.name}${ENDING[one.start]}`),
      dataset_id: dataset.id,
      preset: null,
      config,
      total_steps: stepsOf(config.train.epochs, steps_per_epoch),
      steps_per_epoch,
      finetune: {
        group,
        start: one.start,
        checkpoint_id: checkpoint.id,
        run_id: checkpoint.run_id,
        source_id: one.checkpoint.id,
        part: asked.part,
        test_dataset_id: test,
        lone,
        has_positions: true,
        classes,
        settings,
      },
    });
  });
}

/** The same, at the end of the queue. */
export function queueFineTunings(store: Store, asked: NewFineTuning): Run[] {
  return store.atomically(() => {
    const runs = createFineTunings(store, asked);
    for (const { id } of runs) store.queue.put({ kind: 'run', id });
    return runs;
  });
}

/** @throws AppError bad-input, with the first thing that is wrong */
export function parseFineTune(settings: Record<string, unknown>): LabelledSettings {
  const parsed = FINE_TUNING.settings.safeParse(settings);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const at = issue!.path.join('.') || (issue!.code === 'unrecognized_keys' ? issue!.keys[0]! : 'the recipe');
  const known = Object.keys(FINE_TUNING.settings.shape).join(', ');
  throw new AppError(
    'bad-input',
    `${at} of the fine-tuning cannot be used: ${issue!.message}.`,
    '',
    `Settings are ${known}.`,
  );
}

/** The configuration that loader and schedule go by: the network's own, with the recipe of the fine-tuning. */
export const fineTuneConfig = (config: RunConfig, settings: LabelledSettings): RunConfig =>
  parseConfig(FINE_TUNING.configure(config, settings));
