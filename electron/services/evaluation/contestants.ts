import type { Checkpoint } from '../../../shared/checkpoint.ts';
import type { RunConfig } from '../../../shared/config.ts';
import type { Start } from '../../../shared/finetune.ts';
import type { StateDict } from '../../../shared/tensors.ts';
import type { Store } from '../../store/store.ts';
import { untrainedState } from '../../trainer/training.ts';

/** A network that an evaluation asks: a checkpoint's, the same untrained, or one that was imported. */
export interface Contestant {
  start: Start;
  /** Whose weights these are. */
  checkpoint: Checkpoint;
  name: string;
  config: RunConfig;
  load(part: 'student' | 'teacher'): StateDict;
}

/** The checkpoint of the weights that were imported last; null where none were, or it is `except` itself. */
export function importedCheckpoint(store: Store, except: number): Checkpoint | null {
  const imported = store.runs.list().findLast(({ kind }) => kind === 'imported');
  const latest = imported && store.checkpoints.latest(imported.id);
  return latest && latest.id !== except ? latest : null;
}

/**
 * Who is evaluated: always the untrained network beside the trained one, and imported weights where there are any.
 * @param official a checkpoint; null for none; undefined for the weights that were imported last
 * @throws AppError not-found
 */
export function contestants(store: Store, checkpoint: Checkpoint, official?: number | null): Contestant[] {
  const { config } = checkpoint;
  const { name } = store.runs.get(checkpoint.run_id);
  const stored = (start: Start, of: Checkpoint, name: string): Contestant => ({
    start,
    checkpoint: of,
    name,
    config: of.config,
    load: (part) => store.checkpoints.load(of.id, part),
  });
  const beside =
    official === undefined
      ? importedCheckpoint(store, checkpoint.id)
      : official === null
        ? null
        : store.checkpoints.get(official);
  return [
    stored('trained', checkpoint, name),
    { start: 'untrained', checkpoint, name: `${name}, untrained`, config, load: () => untrainedState(config) },
    ...(beside ? [stored('official', beside, store.runs.get(beside.run_id).name)] : []),
  ];
}
