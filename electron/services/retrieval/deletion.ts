import { AppError } from '../../../shared/errors.ts';
import type { Store } from '../../store/store.ts';
import type { Events } from '../ground/events.ts';
import type { Tasks } from '../ground/tasks.ts';
import type { Deletion } from '../ground/undo.ts';
import { deleteIndex } from './folders.ts';

/** How an index is deleted. @throws AppError conflict while it may be being built */
export function indexDeletion(
  { store, events, tasks }: { store: Store; events: Events; tasks: Tasks },
  id: number,
): Deletion {
  const { is_ready, dataset_id } = store.retrieval.get(id);
  if (!is_ready && tasks.list().some(({ kind, status }) => kind === 'index' && status === 'running'))
    throw new AppError('conflict', 'An index is being built.', 'It may be this one.', 'Cancel that first.');
  const name = `an index of ${store.datasets.get(dataset_id).name}`;
  // It may have gone with its checkpoint until then.
  const act = () => store.retrieval.list().some((one) => one.id === id) && deleteIndex(store, id);
  const changed = () => events.emit({ type: 'indexes' });
  return { kind: 'index', ids: [id], name, what: `Deleted ${name}.`, act, changed };
}
