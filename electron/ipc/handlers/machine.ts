import type { MACHINE } from '../../../shared/contract/machine.ts';
import { backendChoice, chooseBackend } from '../../services/machine/backend-trial.ts';
import { removeStored, storageReport } from '../../services/machine/storage.ts';
import { startDoctor, startInstall, startTrial } from '../../services/machine/tasks.ts';
import type { Context, HandlersOf } from '../context.ts';
import { shownIndexes, shownPrepared } from './shown.ts';

export function machineHandlers({ home, store, tasks, thumbnails, deletions }: Context): HandlersOf<typeof MACHINE> {
  return {
    'runtime.doctor': () => startDoctor(tasks, home),
    'runtime.choice': () => backendChoice(),
    'runtime.trial': () => startTrial(tasks),
    'runtime.use': ({ backend }) => {
      chooseBackend(backend);
      return {};
    },
    'runtime.install': ({ variant }) => startInstall(tasks, variant),
    'runtime.storage': () =>
      storageReport(store, {
        home,
        thumbnails: thumbnails.folder,
        indexes: shownIndexes({ store, deletions }),
        prepared: shownPrepared({ store, deletions }),
      }),
    'runtime.remove': async ({ path }) => ({ bytes: await removeStored(path, thumbnails.folder) }),
  };
}
