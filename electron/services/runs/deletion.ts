import { AppError } from '../../../shared/errors.ts';
import { named } from '../../../shared/named.ts';
import type { Store } from '../../store/store.ts';
import type { Events } from '../ground/events.ts';
import type { Deletion, Deletions } from '../ground/undo.ts';
import { deleteRun, inOrderOfDeletion } from './runs.ts';

/** How runs are deleted. @throws AppError conflict where one is running, or something that stays needs one */
export function runDeletion(
  { store, events, deletions }: { store: Store; events: Events; deletions: Deletions },
  ids: number[],
): Deletion {
  const runs = [...new Set(ids)].map((id) => store.runs.head(id));
  const running = runs.find(({ status }) => status === 'running');
  if (running) throw new AppError('conflict', `Run "${running.name}" is running.`, '', 'Stop it first.');
  store.needs.refuseRuns([...runs.map(({ id }) => id), ...deletions.hidden('run')]);
  const waiting = store.queuedEvaluations.list().filter((one) => one.error === null && ids.includes(one.run_id)).length;
  const also =
    waiting === 0 ? '' : ` So ${waiting === 1 ? 'is an evaluation' : `are ${waiting} evaluations`} that waited.`;
  const names = named(runs.map((run) => run.name));
  const [name, what] =
    runs.length === 1
      ? [`run ${names}`, `Run ${names} is deleted, with its checkpoints.${also}`]
      : [`runs ${names}`, `${runs.length} runs are deleted, with their checkpoints: ${names}.${also}`];
  return {
    kind: 'run',
    ids,
    name,
    what,
    act: () => {
      for (const { id } of inOrderOfDeletion(runs)) deleteRun(store, id);
    },
    changed: () => events.emit({ type: 'runs' }),
  };
}
