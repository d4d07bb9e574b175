import type { MACHINE } from '../../../shared/contract/machine.ts';
import { runJob } from '../../services/ground/jobs.ts';
import { backendChoice, chooseBackend, tryBackends } from '../../services/machine/backend-trial.ts';
import { installRuntime } from '../../services/machine/install.ts';
import { removeStored, storageReport } from '../../services/machine/storage.ts';
import type { Context, HandlersOf } from '../context.ts';
import { shownIndexes, shownPrepared } from './shown.ts';

export function machineHandlers({ home, store, tasks, thumbnails, deletions }: Context): HandlersOf<typeof MACHINE> {
  return {
    'runtime.doctor': () =>
      tasks.start('doctor', 'Looking at the machine', ({ signal }) => runJob('doctor', { home }, { signal })),
    'runtime.choice': () => backendChoice(),
    'runtime.trial': () => {
      const going = tasks.list().find(({ kind, status }) => kind === 'trial' && status === 'running');
      return going ? { task: going.id } : tasks.start('trial', 'Trying the backends', tryBackends);
    },
    'runtime.use': ({ backend }) => {
      chooseBackend(backend);
      return {};
    },
    'runtime.install': ({ variant }) =>
      tasks.start('install', `Setting up TensorFlow (${variant})`, (control) => installRuntime(variant, control)),
    'runtime.storage': () =>
      storageReport(store, {
        ...{ home, thumbnails: thumbnails.folder },
        ...{ indexes: shownIndexes({ store, deletions }), prepared: shownPrepared({ store, deletions }) },
      }),
    'runtime.remove': async ({ path }) => ({ bytes: await removeStored(path, thumbnails.folder) }),
  };
}
