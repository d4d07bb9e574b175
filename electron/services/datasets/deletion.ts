import { AppError } from '../../../shared/errors.ts';
import { named } from '../../../shared/named.ts';
import type { Store } from '../../store/store.ts';
import type { Events } from '../ground/events.ts';
import type { Deletion, Deletions } from '../ground/undo.ts';
import { claimSet, deletePrepared, sweepPrepared } from './prepared-files.ts';

interface Ground {
  store: Store;
  events: Events;
  deletions: Deletions;
}

/** How a dataset is deleted. @throws AppError conflict where runs, or what is kept of them, need it */
export function datasetDeletion({ store, events, deletions }: Ground, id: number): Deletion {
  const { name } = store.datasets.get(id);
  const runs = store.datasets.runs(id).filter((run) => !deletions.isHidden('run', run));
  if (runs.length > 0) {
    const names = named(runs.map((run) => store.runs.head(run).name));
    const why = `${runs.length === 1 ? 'Run' : 'Runs'} ${names} learned from it.`;
    throw new AppError('conflict', `Dataset "${name}" is in use.`, why, 'Delete these runs first.');
  }
  store.needs.refuseDataset(id, name, deletions.hidden('run'));
  return {
    kind: 'dataset',
    ids: [id],
    name: `dataset "${name}"`,
    what: `Dataset "${name}" is deleted; its files are untouched.`,
    act: () => {
      store.datasets.delete(id);
      sweepPrepared(store);
    },
    changed: () => events.emit({ type: 'datasets' }),
  };
}

/** How what was prepared of a dataset is deleted. @throws AppError conflict while it is written */
export function preparedDeletion({ store, events }: Omit<Ground, 'deletions'>, id: number): Deletion {
  const { dataset_id, size } = store.prepared.get(id);
  claimSet(store, id)(); // a refusal comes now, not when the deletion is carried out
  const name = `what was prepared of ${store.datasets.get(dataset_id).name} at ${size} pixels`;
  const act = () => {
    if (!store.prepared.list().some((one) => one.id === id)) return; // it went with its dataset
    try {
      deletePrepared(store, id);
    } catch (error) {
      // The command line prepares it again meanwhile: that was asked for later.
      if ((error as AppError).kind !== 'conflict') throw error;
    }
  };
  const changed = () => events.emit({ type: 'prepared' });
  return { kind: 'prepared', ids: [id], name, what: `Deleted ${name}.`, act, changed };
}
